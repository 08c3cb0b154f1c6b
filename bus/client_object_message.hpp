#pragma once
// What clients ask of objects and are answered: see client_message.hpp.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bus/message_fields.hpp"
#include "store/ids.hpp"

namespace zerodb::client {

struct Ok {
  static constexpr std::string_view name = "ok";
  ZERODB_FIELDS()
};

struct Text {
  static constexpr std::string_view name = "text";
  std::string text;
  ZERODB_FIELDS(field("text", self.text);)
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

}  // namespace zerodb::client
