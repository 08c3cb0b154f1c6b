#pragma once
// What is asked of a node about itself, its mesh and who may use it, and answered: see
// client_message.hpp.

#include <optional>
#include <string>
#include <vector>

#include "bus/client_object_message.hpp"
#include "bus/message_fields.hpp"

namespace zerodb::client {

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

struct Invite {
  static constexpr std::string_view name = "invite";
  bool share_owner = false;
  std::uint64_t expires_s = 3600;
  using Reply = Text;  ///< the ticket
  ZERODB_FIELDS(field("share_owner", self.share_owner); field("expires_s", self.expires_s);)
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

}  // namespace zerodb::client
