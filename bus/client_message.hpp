#pragma once
// Requests and replies between a client and its node, as plain structs. PROTOCOL.md says what each
// one means. Thread-safe: plain values.

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bus/message_fields.hpp"
#include "store/ids.hpp"

namespace zerodb {

/// Of one frame to or from a client.
inline constexpr std::int64_t client_frame_bytes_max = std::int64_t{2} << 20;

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
  std::optional<std::uint64_t> download;  ///< to read by, when the payload is not the whole answer
  std::optional<std::uint64_t> first;     ///< of the range granted
  std::optional<std::uint64_t> length;
  std::optional<std::uint32_t> chunk_bytes;
  std::optional<std::uint32_t> replicas;  ///< how many nodes should hold it
  std::optional<std::string> hashed_key;  ///< hexadecimal
  std::optional<std::string> blob_id;     ///< hexadecimal
  ZERODB_FIELDS(field("key", self.key); field("size", self.size); field("version", self.version);
                field("media_type", self.media_type); field("mtime_ms", self.mtime_ms);
                field("attributes", self.attributes); field("download", self.download);
                field("first", self.first); field("length", self.length);
                field("chunk_bytes", self.chunk_bytes); field("replicas", self.replicas);
                field("hashed_key", self.hashed_key); field("blob_id", self.blob_id);)
};

/// A node's signed word that it had made a version durable: see store/receipt.hpp.
struct Receipt {
  NodeId node;
  std::string node_name;
  SignKey sign_key;           ///< as the roster has it
  std::uint64_t time_ms = 0;  ///< the node's clock, UTC
  Signature signature;
  ZERODB_FIELDS(field("node", self.node); field("node_name", self.node_name);
                field("sign_key", self.sign_key); field("time_ms", self.time_ms);
                field("signature", self.signature);)
};

/// An acknowledged put or delete.
struct Stored {
  static constexpr std::string_view name = "stored";
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::uint32_t copies = 0;          ///< nodes that had made it durable when this was sent
  std::uint32_t wanted = 0;          ///< nodes that should
  std::vector<std::string> missing;  ///< names of placed nodes that failed, are down or lagged
  std::optional<Bytes> manifest;     ///< the signed manifest; with receipts only
  std::optional<std::vector<Receipt>> receipts;  ///< if asked for: of each of the copies
  ZERODB_FIELDS(field("version", self.version); field("size", self.size);
                field("copies", self.copies); field("wanted", self.wanted);
                field("missing", self.missing); field("manifest", self.manifest);
                field("receipts", self.receipts);)
};

struct Upload {
  static constexpr std::string_view name = "upload";
  std::uint64_t upload = 0;
  std::uint64_t credit = 0;             ///< bytes the node takes beyond those answered
  std::uint32_t chunk_bytes = 0;        ///< size of every put_data payload but the last
  std::optional<Bytes> resume;          ///< with put_resume, on any connection, it goes on
  std::optional<std::uint64_t> offset;  ///< where it goes on
  ZERODB_FIELDS(field("upload", self.upload); field("credit", self.credit);
                field("chunk_bytes", self.chunk_bytes); field("resume", self.resume);
                field("offset", self.offset);)
};

/// Stores an object. If `size` is given, at most 65536, and is the payload's length, this is the
/// whole put and the reply is `stored`. Otherwise the reply is `upload` and put_data follows.
struct Put {
  static constexpr std::string_view name = "put";
  std::string key;
  std::optional<std::uint64_t> size;  ///< absent: not known yet
  std::optional<std::string> media_type;
  std::optional<std::int64_t> mtime_ms;
  std::optional<std::map<std::string, std::string>> attributes;
  std::optional<std::uint64_t> if_version;  ///< only if this version stands; else `conflict`
  std::optional<bool> if_absent;            ///< only if there is no such object
  std::optional<bool> resumable;            ///< an upload that may outlast the connection
  std::optional<bool> receipts;             ///< true: `stored` brings signed receipts
  ZERODB_FIELDS(field("key", self.key); field("size", self.size);
                field("media_type", self.media_type); field("mtime_ms", self.mtime_ms);
                field("attributes", self.attributes); field("if_version", self.if_version);
                field("if_absent", self.if_absent); field("resumable", self.resumable);
                field("receipts", self.receipts);)
};

/// Takes over an upload that was begun as `resumable`, as after a lost connection.
struct PutResume {
  static constexpr std::string_view name = "put_resume";
  Bytes resume;
  using Reply = Upload;
  ZERODB_FIELDS(field("resume", self.resume);)
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
  std::uint64_t size = 0;  ///< all bytes sent; the node checks it
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
  std::optional<std::uint64_t> last;  ///< inclusive
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
  std::string after;  ///< keys strictly after this one, in byte order
  std::uint32_t limit = 1000;
  struct Entry {
    std::string key;
    std::uint64_t size = 0;
    std::uint64_t version = 0;
    std::optional<std::int64_t> mtime_ms;
    ZERODB_FIELDS(field("key", self.key); field("size", self.size); field("version", self.version);
                  field("mtime_ms", self.mtime_ms);)
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
  std::optional<std::uint64_t> if_version;  ///< only if this version stands; else `conflict`
  std::optional<bool> receipts;             ///< as in put
  using Reply = Stored;
  ZERODB_FIELDS(field("key", self.key); field("if_version", self.if_version);
                field("receipts", self.receipts);)
};

/// A store or deletion of the owner's, as the node that answers came to know of it.
struct Event {
  std::uint64_t sequence = 0;  ///< grows by one from event to event of a node
  std::string kind;            ///< "store" or "delete"
  std::string key;
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::optional<std::int64_t> mtime_ms;
  std::uint64_t time_ms = 0;  ///< when the node came to know of it, UTC
  ZERODB_FIELDS(field("sequence", self.sequence); field("kind", self.kind); field("key", self.key);
                field("version", self.version); field("size", self.size);
                field("mtime_ms", self.mtime_ms); field("time_ms", self.time_ms);)
};

/// An event as subscribers get it: under the topic "store KEY" or "delete KEY".
struct Published {
  static constexpr std::string_view name = "event";
  std::string epoch;  ///< hexadecimal
  Event event;
  ZERODB_FIELDS(field("epoch", self.epoch); Event::visit(self.event, field);)
};

/// What is in the node's log of events, and what comes within `wait_ms`.
struct Events {
  static constexpr std::string_view name = "events";
  std::optional<std::uint64_t> since;  ///< the first wanted; 0: all there are; absent: see below
  std::optional<std::string> epoch;    ///< that `since` is of
  std::optional<std::string> durable;  ///< of this follower; without `since`, from where it is
  std::optional<std::string> prefix;   ///< of the keys wanted
  std::optional<std::uint32_t> limit;
  std::optional<std::uint32_t> wait_ms;  ///< for the first event; 0 if absent
  struct Reply {
    static constexpr std::string_view name = "events.ok";
    std::string epoch;
    std::vector<Event> entries;
    std::uint64_t next = 0;    ///< `since` of the next request
    std::uint64_t oldest = 0;  ///< the first that the log still has
    bool gap = false;          ///< events before `oldest` were wanted: list, go on at `next`
    bool reset = false;        ///< the log is another than before: list, go on at `next`
    ZERODB_FIELDS(field("epoch", self.epoch); field("entries", self.entries);
                  field("next", self.next); field("oldest", self.oldest); field("gap", self.gap);
                  field("reset", self.reset);)
  };
  ZERODB_FIELDS(field("since", self.since); field("epoch", self.epoch);
                field("durable", self.durable); field("prefix", self.prefix);
                field("limit", self.limit); field("wait_ms", self.wait_ms);)
};

/// Where a durable follower is.
struct Follower {
  static constexpr std::string_view name = "follower";
  std::string durable;
  std::string epoch;
  std::uint64_t next = 0;  ///< the first event it has not acknowledged
  ZERODB_FIELDS(field("durable", self.durable); field("epoch", self.epoch);
                field("next", self.next);)
};

/// All up to `sequence` are done with, durably.
struct EventsAck {
  static constexpr std::string_view name = "events_ack";
  std::string durable;
  std::string epoch;
  std::uint64_t sequence = 0;
  std::optional<bool> back;  ///< even if the follower is further
  using Reply = Follower;
  ZERODB_FIELDS(field("durable", self.durable); field("epoch", self.epoch);
                field("sequence", self.sequence); field("back", self.back);)
};

struct Followers {
  static constexpr std::string_view name = "followers";
  struct Entry {
    std::string durable;
    std::uint64_t next = 0;
    std::uint64_t behind = 0;  ///< events it has not acknowledged
    bool lost = false;         ///< some of those are gone: it must list
    ZERODB_FIELDS(field("durable", self.durable); field("next", self.next);
                  field("behind", self.behind); field("lost", self.lost);)
  };
  struct Reply {
    static constexpr std::string_view name = "followers.ok";
    std::string epoch;
    std::uint64_t oldest = 0;
    std::uint64_t next = 0;
    std::vector<Entry> entries;
    ZERODB_FIELDS(field("epoch", self.epoch); field("oldest", self.oldest);
                  field("next", self.next); field("entries", self.entries);)
  };
  ZERODB_FIELDS()
};

struct FollowerRemove {
  static constexpr std::string_view name = "follower_remove";
  std::string durable;
  using Reply = Ok;
  ZERODB_FIELDS(field("durable", self.durable);)
};

/// Has every placed node prove that it still holds the object.
struct Verify {
  static constexpr std::string_view name = "verify";
  std::string key;
  struct Node {
    std::string id;  ///< hexadecimal
    std::string node_name;
    std::string state;                ///< "holds", "damaged", "missing", "older", "newer" or
                                      ///< "unreachable"
    std::optional<std::uint64_t> ms;  ///< how long its answer took
    std::string what;                 ///< for people: what is wrong; empty if nothing is
    ZERODB_FIELDS(field("id", self.id); field("node_name", self.node_name);
                  field("state", self.state); field("ms", self.ms); field("what", self.what);)
  };
  struct Reply {
    static constexpr std::string_view name = "verified";
    std::string key;
    std::uint64_t version = 0;
    std::uint64_t size = 0;
    std::uint64_t chunks = 0;        ///< that the object has
    std::uint64_t chunks_asked = 0;  ///< chosen at random, the same for all nodes
    bool moving = false;             ///< a change of placement is under way
    std::vector<Node> nodes;
    ZERODB_FIELDS(field("key", self.key); field("version", self.version); field("size", self.size);
                  field("chunks", self.chunks); field("chunks_asked", self.chunks_asked);
                  field("moving", self.moving); field("nodes", self.nodes);)
  };
  ZERODB_FIELDS(field("key", self.key);)
};

struct Status {
  static constexpr std::string_view name = "status";
  struct Member {
    std::string id;        ///< hexadecimal
    std::string sign_key;  ///< hexadecimal; its receipts are signed with it
    std::string node_name;
    std::string zone;
    std::string endpoint;
    std::uint32_t weight = 0;
    bool blind = false;
    bool here = false;                          ///< the node that answers
    bool up = false;                            ///< alive or suspect
    std::string health;                         ///< "alive", "suspect" or "down"
    std::optional<std::uint64_t> since_ms_ago;  ///< it has been so for that long, if known
    std::optional<std::uint64_t> heard_ms_ago;  ///< its last answer; absent: never
    bool draining = false;
    bool drained = false;      ///< and holds nothing any more that the others need
    bool administers = false;  ///< holds the mesh key, as far as known
    bool refuses = false;      ///< it turned this node away: was this one removed?
    ZERODB_FIELDS(field("id", self.id); field("sign_key", self.sign_key);
                  field("node_name", self.node_name); field("zone", self.zone);
                  field("endpoint", self.endpoint); field("weight", self.weight);
                  field("blind", self.blind); field("here", self.here); field("up", self.up);
                  field("health", self.health); field("since_ms_ago", self.since_ms_ago);
                  field("heard_ms_ago", self.heard_ms_ago); field("draining", self.draining);
                  field("drained", self.drained); field("administers", self.administers);
                  field("refuses", self.refuses);)
  };
  /// What a change of the roster leaves to be moved to and from the node that answers.
  struct Move {
    std::vector<std::string> waits_for;  ///< names of members that hold the end of it up
    std::uint64_t take_over_partitions = 0;
    std::uint64_t take_over_bytes = 0;
    std::uint64_t hand_over_partitions = 0;
    std::uint64_t hand_over_bytes = 0;
    std::uint64_t bytes_per_s = 0;       ///< fetched, lately
    std::optional<std::uint64_t> eta_s;  ///< absent: nothing to take over, or no telling
    ZERODB_FIELDS(field("waits_for", self.waits_for);
                  field("take_over_partitions", self.take_over_partitions);
                  field("take_over_bytes", self.take_over_bytes);
                  field("hand_over_partitions", self.hand_over_partitions);
                  field("hand_over_bytes", self.hand_over_bytes);
                  field("bytes_per_s", self.bytes_per_s); field("eta_s", self.eta_s);)
  };
  struct Reply {
    static constexpr std::string_view name = "status.ok";
    std::string program_version;
    std::string mesh;   ///< hexadecimal
    std::string owner;  ///< hexadecimal, empty on a blind node
    std::uint64_t roster_version = 0;
    bool mesh_key = false;           ///< this node can invite and administer
    bool removed = false;            ///< this node is a member no more
    std::uint32_t replicas = 0;      ///< R
    std::uint32_t write_quorum = 0;  ///< W
    std::uint64_t objects = 0;       ///< kept on this node
    std::uint64_t tombstones = 0;
    std::uint64_t blob_bytes = 0;
    std::uint64_t free_bytes = 0;
    std::uint64_t total_bytes = 0;
    std::uint64_t uploads = 0;
    std::uint64_t uptime_s = 0;
    bool disk_suspect = false;
    std::uint64_t superseded = 0;  ///< older versions that wait for being swept
    std::uint64_t superseded_bytes = 0;
    std::string read_only;       ///< why this node takes nothing now; empty: it does
    std::uint64_t damaged = 0;   ///< versions whose bytes here are damaged or missing
    bool index_rebuilt = false;  ///< at this start: it was lost or damaged
    bool index_damaged = false;  ///< the next start makes it anew
    std::uint64_t quarantine_files = 0;
    std::uint64_t quarantine_bytes = 0;
    std::uint64_t chunks_damaged = 0;  ///< met by reads through this node
    std::uint64_t chunks_hedged = 0;   ///< asked of a second node, as the first one lagged
    std::uint64_t puts_timed = 0;      ///< the latest small puts of clients, 4096 at most:
    std::uint64_t put_p50_us = 0;      ///< within this the node was done with half of them,
    std::uint64_t put_p99_us = 0;      ///< within this with 99 in 100
    Move move;
    std::optional<std::string> client_endpoint;  ///< for remote clients; absent: not served
    std::vector<Member> members;
    ZERODB_FIELDS(field("program_version", self.program_version); field("mesh", self.mesh);
                  field("owner", self.owner); field("roster_version", self.roster_version);
                  field("mesh_key", self.mesh_key); field("removed", self.removed);
                  field("replicas", self.replicas); field("write_quorum", self.write_quorum);
                  field("objects", self.objects); field("tombstones", self.tombstones);
                  field("blob_bytes", self.blob_bytes); field("free_bytes", self.free_bytes);
                  field("total_bytes", self.total_bytes); field("uploads", self.uploads);
                  field("uptime_s", self.uptime_s); field("disk_suspect", self.disk_suspect);
                  field("superseded", self.superseded);
                  field("superseded_bytes", self.superseded_bytes);
                  field("read_only", self.read_only); field("damaged", self.damaged);
                  field("index_rebuilt", self.index_rebuilt);
                  field("index_damaged", self.index_damaged);
                  field("quarantine_files", self.quarantine_files);
                  field("quarantine_bytes", self.quarantine_bytes);
                  field("chunks_damaged", self.chunks_damaged);
                  field("chunks_hedged", self.chunks_hedged); field("puts_timed", self.puts_timed);
                  field("put_p50_us", self.put_p50_us); field("put_p99_us", self.put_p99_us);
                  field("move", self.move); field("client_endpoint", self.client_endpoint);
                  field("members", self.members);)
  };
  ZERODB_FIELDS()
};

/// How the node verifies its own disk. With `start`, a walk over all of it begins, at full speed.
/// With `wait`, the answer comes when something has changed, at the latest after a second.
struct Scrub {
  static constexpr std::string_view name = "scrub";
  bool start = false;
  bool wait = false;
  struct Reply {
    static constexpr std::string_view name = "scrub.ok";
    bool walking = false;
    bool repairing = false;
    std::uint32_t done_per_mille = 0;  ///< of the walk under way
    std::uint64_t versions = 0;        ///< verified by the walk under way, or by the last one
    std::uint64_t bytes = 0;
    std::uint64_t found = 0;        ///< of them damaged or missing
    std::uint64_t repaired = 0;     ///< since that walk began
    std::uint64_t orphans = 0;      ///< files that nothing refers to, put aside
    std::uint64_t damaged = 0;      ///< not repaired yet
    std::uint64_t started_ms = 0;   ///< UTC; 0: never
    std::uint64_t finished_ms = 0;  ///< UTC, of the last walk that ended; 0: never
    std::string trouble;            ///< why a repair failed
    ZERODB_FIELDS(field("walking", self.walking); field("repairing", self.repairing);
                  field("done_per_mille", self.done_per_mille); field("versions", self.versions);
                  field("bytes", self.bytes); field("found", self.found);
                  field("repaired", self.repaired); field("orphans", self.orphans);
                  field("damaged", self.damaged); field("started_ms", self.started_ms);
                  field("finished_ms", self.finished_ms); field("trouble", self.trouble);)
  };
  ZERODB_FIELDS(field("start", self.start); field("wait", self.wait);)
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
  using Reply = Text;  ///< the ticket
  ZERODB_FIELDS(field("share_owner", self.share_owner); field("expires_s", self.expires_s);)
};

/// A link by which another owner of the mesh can read this version, and nothing else.
struct Share {
  static constexpr std::string_view name = "share";
  std::string key;
  std::uint64_t expires_s = 0;
  using Reply = Text;  ///< the link
  ZERODB_FIELDS(field("key", self.key); field("expires_s", self.expires_s);)
};

/// `get`, by a link.
struct GetShared {
  static constexpr std::string_view name = "get_shared";
  std::string link;
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;
  using Reply = ObjectInfo;
  ZERODB_FIELDS(field("link", self.link); field("first", self.first); field("last", self.last);)
};

struct OwnerShow {
  static constexpr std::string_view name = "owner_id";
  using Reply = Text;  ///< hexadecimal
  ZERODB_FIELDS()
};

struct OwnerExport {
  static constexpr std::string_view name = "owner_export";
  using Reply = Text;  ///< recovery text
  ZERODB_FIELDS()
};

struct OwnerImport {
  static constexpr std::string_view name = "owner_import";
  std::string text;      ///< recovery text
  bool replace = false;  ///< put aside an owner key the node already has
  using Reply = Text;    ///< the owner's id, hexadecimal
  ZERODB_FIELDS(field("text", self.text); field("replace", self.replace);)
};

/// What an administrator changed.
struct NodeChanged {
  static constexpr std::string_view name = "node_changed";
  std::string node;  ///< its id, hexadecimal
  std::string node_name;
  std::uint64_t roster_version = 0;
  bool changed = false;  ///< false: it was so already
  std::string note;      ///< for people: what follows from it; may be empty
  ZERODB_FIELDS(field("node", self.node); field("node_name", self.node_name);
                field("roster_version", self.roster_version); field("changed", self.changed);
                field("note", self.note);)
};

/// Changes what the roster says of a member; what is absent stays as it is.
struct NodeSet {
  static constexpr std::string_view name = "node_set";
  std::string node;  ///< a member's name, or the beginning of its id
  std::optional<std::string> zone;
  std::optional<std::uint32_t> weight;
  std::optional<bool> draining;
  using Reply = NodeChanged;
  ZERODB_FIELDS(field("node", self.node); field("zone", self.zone); field("weight", self.weight);
                field("draining", self.draining);)
};

struct NodeRemove {
  static constexpr std::string_view name = "node_remove";
  std::string node;
  bool force = false;  ///< even if it is not drained
  using Reply = NodeChanged;
  ZERODB_FIELDS(field("node", self.node); field("force", self.force);)
};

struct MeshExport {
  static constexpr std::string_view name = "mesh_export";
  using Reply = Text;  ///< recovery text
  ZERODB_FIELDS()
};

struct MeshImport {
  static constexpr std::string_view name = "mesh_import";
  std::string text;    ///< recovery text
  using Reply = Text;  ///< the mesh's id, hexadecimal
  ZERODB_FIELDS(field("text", self.text);)
};

/// Lets a client in over the network, with rights by the beginnings of keys: "" is every key.
struct ClientAdd {
  static constexpr std::string_view name = "client_add";
  std::string client_name;
  std::vector<std::string> read;
  std::vector<std::string> write;
  std::vector<std::string> remove;
  std::optional<std::uint64_t> expires_s;
  using Reply = Text;  ///< the credential
  ZERODB_FIELDS(field("client_name", self.client_name); field("read", self.read);
                field("write", self.write); field("delete", self.remove);
                field("expires_s", self.expires_s);)
};

struct ClientList {
  static constexpr std::string_view name = "client_list";
  std::string after;  ///< names strictly after this one, in byte order
  std::uint32_t limit = 100;
  struct Entry {
    std::string client_name;
    std::string key;  ///< the public half of its pair, hexadecimal
    std::vector<std::string> read;
    std::vector<std::string> write;
    std::vector<std::string> remove;
    std::uint64_t created_ms = 0;             ///< UTC
    std::optional<std::uint64_t> expires_ms;  ///< UTC
    bool expired = false;
    ZERODB_FIELDS(field("client_name", self.client_name); field("key", self.key);
                  field("read", self.read); field("write", self.write);
                  field("delete", self.remove); field("created_ms", self.created_ms);
                  field("expires_ms", self.expires_ms); field("expired", self.expired);)
  };
  struct Reply {
    static constexpr std::string_view name = "clients";
    std::vector<Entry> entries;
    bool more = false;
    ZERODB_FIELDS(field("entries", self.entries); field("more", self.more);)
  };
  ZERODB_FIELDS(field("after", self.after); field("limit", self.limit);)
};

struct ClientRevoke {
  static constexpr std::string_view name = "client_revoke";
  std::string client_name;
  using Reply = Ok;
  ZERODB_FIELDS(field("client_name", self.client_name);)
};

using Request =
    std::variant<Put, PutResume, PutData, PutEnd, PutAbort, Get, GetData, GetEnd, Stat, List,
                 Delete, Verify, Status, Scrub, Invite, OwnerShow, OwnerExport, OwnerImport,
                 NodeSet, NodeRemove, MeshExport, MeshImport, Share, GetShared, Events, EventsAck,
                 Followers, FollowerRemove, ClientAdd, ClientList, ClientRevoke>;
using Reply = std::variant<Ok, ObjectInfo, Stored, Upload, GetData::Reply, List::Reply,
                           Verify::Reply, Status::Reply, Scrub::Reply, Text, NodeChanged,
                           Events::Reply, Follower, Followers::Reply, ClientList::Reply>;

}  // namespace client

}  // namespace zerodb
