#pragma once
// The role of a node that holds an owner's key: seals and signs what its clients put, sends it to
// the placed nodes, and opens what they get. One thread: the node's executor.

#include <memory>

#include "node/catalogue.hpp"
#include "node/followers.hpp"
#include "node/node_context.hpp"
#include "node/share_link.hpp"
#include "store/receipt.hpp"

namespace zerodb {

/// An acknowledged write.
struct WriteReceipt {
  Version version;
  std::uint64_t size = 0;
  std::uint32_t copies = 0;       ///< nodes that had made it durable by then
  std::uint32_t wanted = 0;       ///< R
  std::vector<NodeId> missing;    ///< placed nodes that were unreachable or failed
  Bytes manifest;                 ///< the signed manifest; if receipts were asked for
  std::vector<Receipt> receipts;  ///< verified, one of each of the copies
};

/// What must stand for a write to be done; else it fails with `conflict`.
struct WriteCondition {
  bool absent = false;             ///< no object
  std::optional<Version> version;  ///< this version of it
  bool is_set() const { return absent || version; }
};

/// What a client says about an object it puts.
struct PutSpec {
  std::string name;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;
  WriteCondition condition{};
  bool receipts = false;
};

struct RemoveSpec {
  std::optional<Version> only{};  ///< must stand; any if absent
  bool receipts = false;
};

/// What came of asking one node to prove that it holds a version.
enum class Holding : std::uint8_t {
  holds,
  damaged,  ///< its proof is wrong, or it says itself that its bytes are
  missing,
  older,  ///< it holds an earlier version only
  newer,  ///< it holds a later one than a read quorum knows
  unreachable,
};
std::string_view to_string(Holding holding);

struct NodeProof {
  NodeId node;
  Holding holding = Holding::unreachable;
  std::optional<std::uint64_t> took_ms;
  std::string what;  ///< for people; empty if it holds it
};

struct Verification {
  Version version;
  std::uint64_t size = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunks_asked = 0;
  bool moving = false;  ///< several placements are in force
  std::vector<NodeProof> nodes;
};

/// A large object on its way in: chunk after chunk, then finish(). Dropped, it leaves nothing.
class PutStream {
 public:
  virtual ~PutStream() = default;

  /// The next chunk of plaintext: chunk_bytes_max of it but for the last. Returns when the write
  /// has taken it in, so that a caller that waits holds a bounded amount. Several calls may be
  /// waiting at once; they count in the order they were made. `no_quorum`, `full` or `io` once too
  /// few replicas are left to succeed.
  virtual Task<Status> write(Payload plain) = 0;

  /// Signs, commits and waits for W receipts. `total` must be the bytes written.
  virtual Task<Result<WriteReceipt>> finish(std::uint64_t total) = 0;
};

/// An object being read. Any offset, several reads at once; reading forward is read ahead.
class GetStream {
 public:
  virtual ~GetStream() = default;

  /// The caller is going to read forward, from its first read up to `end`: worth reading ahead at
  /// once, but no further.
  virtual void expect_until(std::uint64_t end) = 0;

  virtual const Manifest& manifest() const = 0;
  virtual const PrivatePart& info() const = 0;

  /// Plaintext [offset, offset + length), clipped to the object's end and to one chunk's worth.
  /// Only authenticated bytes. `corrupt` when every holder's copy of a chunk is damaged.
  virtual Task<Result<Payload>> read(std::uint64_t offset, std::uint32_t length) = 0;
};

struct GatewayOptions {
  Milliseconds call_timeout{5'000};
  Milliseconds chunk_timeout{20'000};
  Milliseconds hedge_after{250};   ///< then a chunk is asked of a second holder, too
  std::size_t window_chunks = 16;  ///< sealed chunks a replica may lag behind
  /// So many of all puts may be on their way; while there are as many, a replica may lag behind by
  /// two.
  std::size_t put_chunks_max = 256;
  std::size_t read_ahead_chunks = 8;
  Milliseconds lag_grace{3'000};     ///< a lagging replica may hold puts up this long
  std::size_t chunks_kept_max = 64;  ///< beside those that reads wait for, by all reads
  std::function<void(const ChunkBinding&)> on_damage{};  ///< bytes on the own disk are not right
  /// A version that stands, and a node that has it: this node, not told by its own broadcasts, may
  /// lack it.
  std::function<void(const NodeId& holder, Bytes manifest)> on_found{};
  EventBounds events{};
};

/// What happened since the start, for status and logs.
struct GatewayCounters {
  std::uint64_t puts = 0;  ///< acknowledged
  std::uint64_t gets = 0;
  std::uint64_t removes = 0;           ///< acknowledged
  std::uint64_t versions_retried = 0;  ///< a later version stood
  std::uint64_t replicas_missed = 0;   ///< by acknowledged writes; they catch up by themselves
  std::uint64_t sinks_let_go = 0;      ///< replicas that lagged too far behind a put
  std::uint64_t chunks_damaged = 0;    ///< met while reading; another copy was read
  std::uint64_t chunks_hedged = 0;     ///< asked of a second holder
  std::uint64_t read_repairs = 0;      ///< placed nodes found stale by a get
};

struct GatewayCore;

class Gateway {
 public:
  /// `open_names` opens where this owner's names are kept, `followers` is where the durable
  /// followers are; without them they are kept in memory.
  Gateway(NodeContext context, OwnerKeys keys, GatewayOptions options, OpenNames open_names = {},
          FollowersFile followers = {});
  ~Gateway();

  const OwnerKeys& keys() const;

  /// A whole small object (at most inline_bytes_max) in one go.
  Task<Result<WriteReceipt>> put_small(PutSpec spec, Payload plain);
  Task<Result<std::unique_ptr<PutStream>>> put(PutSpec spec);
  /// `not_found` if a read quorum says so, at once.
  Task<Result<std::unique_ptr<GetStream>>> get(std::string name);
  /// A link by which another owner can read the version that stands now, until `expires_ms` (UTC).
  Task<Result<std::string>> share(std::string name, std::uint64_t expires_ms);
  /// By somebody's link. `denied` once it has expired, `not_found` when its version stands no more,
  /// `no_quorum` when another one is found and too few nodes answer to tell.
  Task<Result<std::unique_ptr<GetStream>>> get_shared(ShareLink link);
  /// `not_found` if there was nothing to delete, `conflict` if another version than `only` stands.
  Task<Result<WriteReceipt>> remove(std::string name, RemoveSpec spec = {});
  /// Has every placed node prove that it holds the object. `not_found` as for get.
  Task<Result<Verification>> verify(std::string name);
  Task<Result<NamePage>> list(ListQuery query);

  /// The owner's events as this gateway came to know of them; see Catalogue. Whoever waits for more
  /// looks at events_revision() before, and waits only while it is the same.
  Task<Result<EventPage>> events(EventQuery query);
  Task<void> follow();
  bool is_followed() const;
  Wakeup& events_changed();
  std::uint64_t events_revision() const;
  Followers& followers();
  void on_link_up();

  /// A direct answer to a broadcast `get` of ours.
  void on_have(NodeId from, const peer::Have& answer);
  /// A broadcast `store` or `delete`, not yet verified: news for the catalogue if it is our
  /// owner's.
  void on_news(ByteView manifest);

  /// Another member's clock, as its answer to a ping says. While one agrees, a put need not wait
  /// for another node before it commits here, too.
  void on_peer_time(std::uint64_t their_ms);

  /// What is to be done now and then.
  void tend();
  /// Ends what goes on by itself, when the node stops.
  void stop();

  const GatewayCounters& counters() const;
  std::size_t chunks_kept() const;  ///< opened, by all reads, now
  std::size_t put_chunks() const;   ///< sealed and on their way, of all puts, now

 private:
  std::shared_ptr<GatewayCore> core_;  ///< calls that finish behind outlive the gateway
};

}  // namespace zerodb
