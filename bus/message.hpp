#pragma once
// Everything that crosses the bus, as plain structs: requests and replies between nodes, requests
// and replies between a client and its node, and broadcasts. Each struct lists its fields once
// (`visit`); codec.hpp turns them into msgpack headers. PROTOCOL.md says what each one means.
// Thread-safe: plain values.

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "store/ids.hpp"

namespace zerodb {

#define ZERODB_FIELDS(...)                           \
  template <class Self, class Visitor>               \
  static void visit(Self& self, Visitor& field) {    \
    static_cast<void>(self), static_cast<void>(field); \
    __VA_ARGS__                                      \
  }

// ------------------------------------------------------------------------------- between nodes

namespace peer {

/// Done, nothing more to say.
struct Ok {
  static constexpr std::string_view name = "ok";
  ZERODB_FIELDS()
};

/// "I am here": opens a link, then repeats as the ping.
struct Hello {
  static constexpr std::string_view name = "hello";
  Bytes record;                    ///< the sender's signed node record
  std::uint64_t roster_version = 0;
  Bytes records_digest;            ///< over all node records the sender knows
  struct Reply {
    static constexpr std::string_view name = "hello.ok";
    Bytes record;
    std::uint64_t roster_version = 0;
    Bytes records_digest;
    std::uint64_t time_ms = 0;     ///< the replier's clock, UTC
    ZERODB_FIELDS(field("record", self.record); field("roster_version", self.roster_version);
                  field("records_digest", self.records_digest); field("time_ms", self.time_ms);)
  };
  ZERODB_FIELDS(field("record", self.record); field("roster_version", self.roster_version);
                field("records_digest", self.records_digest);)
};

/// The signed roster and every node record the replier knows.
struct GetRoster {
  static constexpr std::string_view name = "get_roster";
  struct Reply {
    static constexpr std::string_view name = "roster";
    Bytes roster;
    std::vector<Bytes> records;
    ZERODB_FIELDS(field("roster", self.roster); field("records", self.records);)
  };
  ZERODB_FIELDS()
};

/// The only request an invite's key may make.
struct Join {
  static constexpr std::string_view name = "join";
  NodeId node;          ///< the joining node's own CURVE key
  SignKey sign_key;
  std::string node_name;
  std::string zone;
  std::uint32_t weight = 100;
  bool blind = false;
  using Reply = GetRoster::Reply;
  ZERODB_FIELDS(field("node", self.node); field("sign_key", self.sign_key);
                field("node_name", self.node_name); field("zone", self.zone);
                field("weight", self.weight); field("blind", self.blind);)
};

/// What a replica answers to a commit.
struct Committed {
  static constexpr std::string_view name = "committed";
  bool stored = false;              ///< durable here
  bool blob_missing = false;        ///< not stored: the sealed bytes are not here
  std::optional<Bytes> standing;    ///< not stored: the later manifest that stands here
  ZERODB_FIELDS(field("stored", self.stored); field("blob_missing", self.blob_missing);
                field("standing", self.standing);)
};

/// An inline object (payload: its sealed chunk) or a tombstone (no payload), in one round trip.
struct PutInline {
  static constexpr std::string_view name = "put_inline";
  Bytes manifest;
  using Reply = Committed;
  ZERODB_FIELDS(field("manifest", self.manifest);)
};

/// How many bytes the replica will take beyond those it has answered for.
struct Credit {
  static constexpr std::string_view name = "credit";
  std::uint64_t bytes = 0;
  ZERODB_FIELDS(field("bytes", self.bytes);)
};

/// Opens a transfer of sealed chunks, or finds it again.
struct PutOpen {
  static constexpr std::string_view name = "put_open";
  TransferId transfer;
  OwnerId owner;
  HashedKey hashed_key;
  BlobId blob_id;
  std::uint32_t chunk_bytes = 0;
  using Reply = Credit;
  ZERODB_FIELDS(field("transfer", self.transfer); field("owner", self.owner);
                field("hashed_key", self.hashed_key); field("blob_id", self.blob_id);
                field("chunk_bytes", self.chunk_bytes);)
};

/// One sealed chunk (payload). Idempotent by (transfer, index).
struct PutChunk {
  static constexpr std::string_view name = "put_chunk";
  TransferId transfer;
  std::uint64_t index = 0;
  using Reply = Credit;
  ZERODB_FIELDS(field("transfer", self.transfer); field("index", self.index);)
};

/// Ends a transfer under a signed manifest.
struct PutCommit {
  static constexpr std::string_view name = "put_commit";
  TransferId transfer;
  Bytes manifest;
  using Reply = Committed;
  ZERODB_FIELDS(field("transfer", self.transfer); field("manifest", self.manifest);)
};

/// Drops a transfer.
struct PutAbort {
  static constexpr std::string_view name = "put_abort";
  TransferId transfer;
  using Reply = Ok;
  ZERODB_FIELDS(field("transfer", self.transfer);)
};

/// The latest version of an object, with the sealed chunk as payload if it is inline.
struct GetManifest {
  static constexpr std::string_view name = "get_manifest";
  OwnerId owner;
  HashedKey hashed_key;
  bool with_inline = true;
  struct Reply {
    static constexpr std::string_view name = "manifest";
    std::optional<Bytes> manifest;  ///< absent: never stored here
    bool settled = true;            ///< false: this node is still taking over the partition, so an
                                    ///< absent manifest means nothing
    ZERODB_FIELDS(field("manifest", self.manifest); field("settled", self.settled);)
  };
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("with_inline", self.with_inline);)
};

/// One sealed chunk of one version, as payload.
struct GetChunk {
  static constexpr std::string_view name = "get_chunk";
  OwnerId owner;
  HashedKey hashed_key;
  BlobId blob_id;
  std::uint64_t index = 0;
  using Reply = Ok;
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("blob_id", self.blob_id); field("index", self.index);)
};

/// A run of leaves of one version, 32 bytes each, as payload.
struct GetLeaves {
  static constexpr std::string_view name = "get_leaves";
  OwnerId owner;
  HashedKey hashed_key;
  BlobId blob_id;
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  using Reply = Ok;
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("blob_id", self.blob_id); field("first", self.first);
                field("count", self.count);)
};

/// The running digest of every partition, 16 bytes each in order, as payload.
struct GetDigests {
  static constexpr std::string_view name = "get_digests";
  using Reply = Ok;
  ZERODB_FIELDS()
};

/// The latest entries of some partitions: 104 bytes each (owner, hashed key, version, manifest
/// hash) as payload. `after` continues a listing that did not fit.
struct GetEntries {
  static constexpr std::string_view name = "get_entries";
  std::vector<std::uint32_t> partitions;  ///< ascending
  std::optional<OwnerId> owner;
  std::optional<Bytes> after;             ///< owner ‖ hashed key, within the first partition named
  struct Reply {
    static constexpr std::string_view name = "entries";
    std::optional<std::uint32_t> next_partition;  ///< absent: the listing is complete
    std::optional<Bytes> next_after;
    ZERODB_FIELDS(field("next_partition", self.next_partition);
                  field("next_after", self.next_after);)
  };
  ZERODB_FIELDS(field("partitions", self.partitions); field("owner", self.owner);
                field("after", self.after);)
};

/// The direct answer to a broadcast `get`.
struct Have {
  static constexpr std::string_view name = "have";
  std::uint64_t nonce = 0;         ///< of the broadcast answered
  std::optional<Bytes> manifest;   ///< absent: not here
  using Reply = Ok;
  ZERODB_FIELDS(field("nonce", self.nonce); field("manifest", self.manifest);)
};

using Request = std::variant<Hello, GetRoster, Join, PutInline, PutOpen, PutChunk, PutCommit,
                             PutAbort, GetManifest, GetChunk, GetLeaves, GetDigests, GetEntries,
                             Have>;
using Reply = std::variant<Ok, Hello::Reply, GetRoster::Reply, Committed, Credit,
                           GetManifest::Reply, GetEntries::Reply>;

}  // namespace peer

// --------------------------------------------------------------------------------- broadcasts

namespace broadcast {

/// A version was stored or deleted; `manifest` says which (it is the proof, too).
struct Store {
  static constexpr std::string_view name = "store";
  Bytes manifest;
  ZERODB_FIELDS(field("manifest", self.manifest);)
};

struct Delete {
  static constexpr std::string_view name = "delete";
  Bytes manifest;
  ZERODB_FIELDS(field("manifest", self.manifest);)
};

/// "Who has this?" Every member that hears it answers with peer::Have.
struct Get {
  static constexpr std::string_view name = "get";
  OwnerId owner;
  HashedKey hashed_key;
  std::uint64_t nonce = 0;
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("nonce", self.nonce);)
};

using Message = std::variant<Store, Delete, Get>;

}  // namespace broadcast

// ------------------------------------------------------------------- between a client and a node

namespace client {

struct Ok {
  static constexpr std::string_view name = "ok";
  ZERODB_FIELDS()
};

/// What a person or program may know of an object.
struct ObjectInfo {
  static constexpr std::string_view name = "object";
  std::string key;
  std::uint64_t size = 0;
  std::uint64_t version = 0;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;
  std::optional<std::uint64_t> download;   ///< to read by, when the payload is not the whole answer
  std::optional<std::uint64_t> first;      ///< of the range granted
  std::optional<std::uint64_t> length;
  std::optional<std::uint32_t> chunk_bytes;
  std::optional<std::uint32_t> replicas;   ///< how many nodes should hold it
  std::optional<std::string> hashed_key;   ///< hexadecimal
  std::optional<std::string> blob_id;      ///< hexadecimal
  ZERODB_FIELDS(field("key", self.key); field("size", self.size); field("version", self.version);
                field("media_type", self.media_type); field("mtime_ms", self.mtime_ms);
                field("attributes", self.attributes); field("download", self.download);
                field("first", self.first); field("length", self.length);
                field("chunk_bytes", self.chunk_bytes); field("replicas", self.replicas);
                field("hashed_key", self.hashed_key); field("blob_id", self.blob_id);)
};

/// An acknowledged put or delete.
struct Stored {
  static constexpr std::string_view name = "stored";
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::uint32_t copies = 0;              ///< nodes that had made it durable when this was sent
  std::uint32_t wanted = 0;              ///< nodes that should
  std::vector<std::string> missing;      ///< names of placed nodes that could not be reached
  ZERODB_FIELDS(field("version", self.version); field("size", self.size);
                field("copies", self.copies); field("wanted", self.wanted);
                field("missing", self.missing);)
};

struct Upload {
  static constexpr std::string_view name = "upload";
  std::uint64_t upload = 0;
  std::uint64_t credit = 0;              ///< bytes the node takes beyond those answered
  std::uint32_t chunk_bytes = 0;         ///< size of every put_data payload but the last
  ZERODB_FIELDS(field("upload", self.upload); field("credit", self.credit);
                field("chunk_bytes", self.chunk_bytes);)
};

/// Stores an object. If `size` is given, at most 65536, and is the payload's length, this is the
/// whole put and the reply is `stored`. Otherwise the reply is `upload` and put_data follows.
struct Put {
  static constexpr std::string_view name = "put";
  std::string key;
  std::optional<std::uint64_t> size;     ///< absent: not known yet
  std::optional<std::string> media_type;
  std::optional<std::int64_t> mtime_ms;
  std::optional<std::map<std::string, std::string>> attributes;
  ZERODB_FIELDS(field("key", self.key); field("size", self.size);
                field("media_type", self.media_type); field("mtime_ms", self.mtime_ms);
                field("attributes", self.attributes);)
};

/// Payload: the next chunk. An empty payload only keeps the upload alive.
struct PutData {
  static constexpr std::string_view name = "put_data";
  std::uint64_t upload = 0;
  std::uint64_t offset = 0;
  using Reply = Upload;
  ZERODB_FIELDS(field("upload", self.upload); field("offset", self.offset);)
};

struct PutEnd {
  static constexpr std::string_view name = "put_end";
  std::uint64_t upload = 0;
  std::uint64_t size = 0;                ///< all bytes sent; the node checks it
  using Reply = Stored;
  ZERODB_FIELDS(field("upload", self.upload); field("size", self.size);)
};

struct PutAbort {
  static constexpr std::string_view name = "put_abort";
  std::uint64_t upload = 0;
  using Reply = Ok;
  ZERODB_FIELDS(field("upload", self.upload);)
};

/// Reads an object or the bytes first..last of it. Up to 65536 bytes come as the payload at once;
/// otherwise `download` is set and get_data follows.
struct Get {
  static constexpr std::string_view name = "get";
  std::string key;
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;     ///< inclusive
  using Reply = ObjectInfo;
  ZERODB_FIELDS(field("key", self.key); field("first", self.first); field("last", self.last);)
};

/// Bytes [offset, offset + length) of the object, as payload; length at most 1 MiB. Fastest when
/// offsets are multiples of chunk_bytes and ascend.
struct GetData {
  static constexpr std::string_view name = "get_data";
  std::uint64_t download = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  struct Reply {
    static constexpr std::string_view name = "data";
    std::uint64_t offset = 0;
    ZERODB_FIELDS(field("offset", self.offset);)
  };
  ZERODB_FIELDS(field("download", self.download); field("offset", self.offset);
                field("length", self.length);)
};

struct GetEnd {
  static constexpr std::string_view name = "get_end";
  std::uint64_t download = 0;
  using Reply = Ok;
  ZERODB_FIELDS(field("download", self.download);)
};

struct Stat {
  static constexpr std::string_view name = "stat";
  std::string key;
  using Reply = ObjectInfo;
  ZERODB_FIELDS(field("key", self.key);)
};

struct List {
  static constexpr std::string_view name = "list";
  std::string prefix;
  std::string after;                     ///< keys strictly after this one, in byte order
  std::uint32_t limit = 1000;
  struct Entry {
    std::string key;
    std::uint64_t size = 0;
    std::uint64_t version = 0;
    std::optional<std::int64_t> mtime_ms;
    ZERODB_FIELDS(field("key", self.key); field("size", self.size);
                  field("version", self.version); field("mtime_ms", self.mtime_ms);)
  };
  struct Reply {
    static constexpr std::string_view name = "listing";
    std::vector<Entry> entries;
    bool more = false;
    ZERODB_FIELDS(field("entries", self.entries); field("more", self.more);)
  };
  ZERODB_FIELDS(field("prefix", self.prefix); field("after", self.after);
                field("limit", self.limit);)
};

struct Delete {
  static constexpr std::string_view name = "delete";
  std::string key;
  using Reply = Stored;
  ZERODB_FIELDS(field("key", self.key);)
};

struct Status {
  static constexpr std::string_view name = "status";
  struct Member {
    std::string id;                      ///< hexadecimal
    std::string node_name;
    std::string zone;
    std::string endpoint;
    std::uint32_t weight = 0;
    bool blind = false;
    bool here = false;                   ///< the node that answers
    bool up = false;
    std::optional<std::uint64_t> heard_ms_ago;
    ZERODB_FIELDS(field("id", self.id); field("node_name", self.node_name);
                  field("zone", self.zone); field("endpoint", self.endpoint);
                  field("weight", self.weight); field("blind", self.blind);
                  field("here", self.here); field("up", self.up);
                  field("heard_ms_ago", self.heard_ms_ago);)
  };
  struct Reply {
    static constexpr std::string_view name = "status.ok";
    std::string program_version;
    std::string mesh;                    ///< hexadecimal
    std::string owner;                   ///< hexadecimal, empty on a blind node
    std::uint64_t roster_version = 0;
    bool mesh_key = false;               ///< this node can invite
    std::uint32_t replicas = 0;          ///< R
    std::uint32_t write_quorum = 0;      ///< W
    std::uint64_t objects = 0;           ///< kept on this node
    std::uint64_t tombstones = 0;
    std::uint64_t blob_bytes = 0;
    std::uint64_t free_bytes = 0;
    std::uint64_t total_bytes = 0;
    std::uint64_t uploads = 0;
    std::uint64_t uptime_s = 0;
    bool disk_suspect = false;
    std::vector<Member> members;
    ZERODB_FIELDS(field("program_version", self.program_version); field("mesh", self.mesh);
                  field("owner", self.owner); field("roster_version", self.roster_version);
                  field("mesh_key", self.mesh_key); field("replicas", self.replicas);
                  field("write_quorum", self.write_quorum); field("objects", self.objects);
                  field("tombstones", self.tombstones); field("blob_bytes", self.blob_bytes);
                  field("free_bytes", self.free_bytes); field("total_bytes", self.total_bytes);
                  field("uploads", self.uploads); field("uptime_s", self.uptime_s);
                  field("disk_suspect", self.disk_suspect); field("members", self.members);)
  };
  ZERODB_FIELDS()
};

struct Text {
  static constexpr std::string_view name = "text";
  std::string text;
  ZERODB_FIELDS(field("text", self.text);)
};

struct Invite {
  static constexpr std::string_view name = "invite";
  bool share_owner = false;
  std::uint64_t expires_s = 3600;
  using Reply = Text;                    ///< the ticket
  ZERODB_FIELDS(field("share_owner", self.share_owner); field("expires_s", self.expires_s);)
};

struct OwnerShow {
  static constexpr std::string_view name = "owner_id";
  using Reply = Text;                    ///< hexadecimal
  ZERODB_FIELDS()
};

struct OwnerExport {
  static constexpr std::string_view name = "owner_export";
  using Reply = Text;                    ///< recovery text
  ZERODB_FIELDS()
};

struct OwnerImport {
  static constexpr std::string_view name = "owner_import";
  std::string text;                      ///< recovery text
  bool replace = false;                  ///< put aside an owner key the node already has
  using Reply = Text;                    ///< the owner's id, hexadecimal
  ZERODB_FIELDS(field("text", self.text); field("replace", self.replace);)
};

using Request = std::variant<Put, PutData, PutEnd, PutAbort, Get, GetData, GetEnd, Stat, List,
                             Delete, Status, Invite, OwnerShow, OwnerExport, OwnerImport>;
using Reply = std::variant<Ok, ObjectInfo, Stored, Upload, GetData::Reply, List::Reply,
                           Status::Reply, Text>;

}  // namespace client

#undef ZERODB_FIELDS

}  // namespace zerodb
