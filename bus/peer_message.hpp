#pragma once
// Requests and replies between nodes, as plain structs. PROTOCOL.md says what each one means.
// Thread-safe: plain values.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bus/message_fields.hpp"
#include "store/ids.hpp"

namespace zerodb {

namespace peer {

/// Done, nothing more to say.
struct Ok {
  static constexpr std::string_view name = "ok";
  ZERODB_FIELDS()
};

/// "I am here": opens a link, then repeats as the ping.
struct Hello {
  static constexpr std::string_view name = "hello";
  Bytes record;  ///< the sender's signed node record
  std::uint64_t roster_version = 0;
  Bytes roster_hash;     ///< of that roster, as two administrators may make a version each
  Bytes records_digest;  ///< over all node records the sender knows
  std::uint64_t working_version = 0;  ///< the oldest roster a request of its own still goes by
  std::uint64_t settled_version = 0;  ///< under it the sender last held all that is placed on it
  std::uint64_t clean_version = 0;    ///< under it the sender last held nothing else
  bool administers = false;           ///< the sender holds the mesh key
  std::optional<std::uint64_t> missed_writes;  ///< see MemberProgress; not sent if 0
  struct Reply {
    static constexpr std::string_view name = "hello.ok";
    Bytes record;
    std::uint64_t roster_version = 0;
    Bytes roster_hash;
    Bytes records_digest;
    std::uint64_t working_version = 0;
    std::uint64_t settled_version = 0;
    std::uint64_t clean_version = 0;
    bool administers = false;
    std::optional<std::uint64_t> missed_writes;
    std::uint64_t time_ms = 0;  ///< the replier's clock, UTC
    ZERODB_FIELDS(field("record", self.record); field("roster_version", self.roster_version);
                  field("roster_hash", self.roster_hash);
                  field("records_digest", self.records_digest);
                  field("working_version", self.working_version);
                  field("settled_version", self.settled_version);
                  field("clean_version", self.clean_version);
                  field("administers", self.administers);
                  field("missed_writes", self.missed_writes); field("time_ms", self.time_ms);)
  };
  ZERODB_FIELDS(field("record", self.record); field("roster_version", self.roster_version);
                field("roster_hash", self.roster_hash);
                field("records_digest", self.records_digest);
                field("working_version", self.working_version);
                field("settled_version", self.settled_version);
                field("clean_version", self.clean_version); field("administers", self.administers);
                field("missed_writes", self.missed_writes);)
};

/// The signed roster, those in force beside it, and every node record the replier knows.
struct GetRoster {
  static constexpr std::string_view name = "get_roster";
  struct Reply {
    static constexpr std::string_view name = "roster";
    Bytes roster;
    std::vector<Bytes> records;
    std::vector<Bytes> older;  ///< rosters in force beside it, oldest first
    ZERODB_FIELDS(field("roster", self.roster); field("records", self.records);
                  field("older", self.older);)
  };
  ZERODB_FIELDS()
};

/// To a member that the roster leaves out: from now on nobody speaks to it any more.
struct NewRoster {
  static constexpr std::string_view name = "new_roster";
  Bytes roster;
  using Reply = Ok;
  ZERODB_FIELDS(field("roster", self.roster);)
};

/// The only request an invite's key may make.
struct Join {
  static constexpr std::string_view name = "join";
  NodeId node;  ///< the joining node's own CURVE key
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

/// Signed by the replier for the version just made durable: see store/receipt.hpp.
struct Receipt {
  std::uint64_t time_ms = 0;  ///< the replier's clock, UTC
  Signature signature;
  ZERODB_FIELDS(field("time_ms", self.time_ms); field("signature", self.signature);)
};

/// What a replica answers to a commit.
struct Committed {
  static constexpr std::string_view name = "committed";
  bool stored = false;             ///< durable here
  bool blob_missing = false;       ///< not stored: the sealed bytes are not here
  std::optional<Bytes> standing;   ///< not stored: the later manifest that stands here
  std::optional<Receipt> receipt;  ///< stored, and the request asked for one
  ZERODB_FIELDS(field("stored", self.stored); field("blob_missing", self.blob_missing);
                field("standing", self.standing); field("receipt", self.receipt);)
};

/// An inline object (payload: its sealed chunk) or a tombstone (no payload), in one round trip.
struct PutInline {
  static constexpr std::string_view name = "put_inline";
  Bytes manifest;
  std::optional<std::uint64_t> expected;  ///< refuse if anything later than this version stands
  std::optional<bool> receipt;            ///< true: the answer is to be signed, which costs time
  using Reply = Committed;
  ZERODB_FIELDS(field("manifest", self.manifest); field("expected", self.expected);
                field("receipt", self.receipt);)
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
  std::optional<bool> again;  ///< only if it is open already: more will come
  using Reply = Credit;
  ZERODB_FIELDS(field("transfer", self.transfer); field("owner", self.owner);
                field("hashed_key", self.hashed_key); field("blob_id", self.blob_id);
                field("chunk_bytes", self.chunk_bytes); field("again", self.again);)
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
  std::optional<std::uint64_t> expected;  ///< as in put_inline
  std::optional<bool> receipt;            ///< as in put_inline
  using Reply = Committed;
  ZERODB_FIELDS(field("transfer", self.transfer); field("manifest", self.manifest);
                field("expected", self.expected); field("receipt", self.receipt);)
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
    bool whole = true;              ///< false: this node's store was lost and fills up again, so an
                                    ///< absent manifest means nothing
    ZERODB_FIELDS(field("manifest", self.manifest); field("settled", self.whole);)
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

/// The running digest of every partition, 16 bytes each in order, as payload; then, if asked for,
/// the sealed bytes kept of every partition, 8 bytes each. If the sums of what the asker knows came
/// as payload (and no sizes are asked for), a mask of the groups that differ, and their digests.
struct GetDigests {
  static constexpr std::string_view name = "get_digests";
  bool with_sizes = false;
  using Reply = Ok;
  ZERODB_FIELDS(field("with_sizes", self.with_sizes);)
};

/// The latest entries of some partitions: 104 bytes each (owner, hashed key, version, manifest
/// hash) as payload. `after` continues a listing that did not fit.
struct GetEntries {
  static constexpr std::string_view name = "get_entries";
  std::vector<std::uint32_t> partitions;  ///< ascending
  std::optional<OwnerId> owner;
  std::optional<Bytes> after;  ///< owner ‖ hashed key, within the first partition named
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

/// Whether the receiver holds certain versions, or later ones of the same objects: entries as in
/// get_entries, as payload. The reply's payload has one byte for each: 0 nothing is held of the
/// object, 1 only an older version is, 2 that version or a later one is. What the receiver should
/// hold and lacks it fetches from the sender.
struct Confirm {
  static constexpr std::string_view name = "confirm";
  using Reply = Ok;
  ZERODB_FIELDS()
};

struct ProofNonceTag {
  static constexpr std::string_view name = "nonce";
};
using ProofNonce = Id<ProofNonceTag, 32>;  ///< random, one per question

/// "Prove that you hold this version": the payload of the answer has a hash of 32 bytes for each
/// chunk named, which only who has the sealed chunk now can work out. Empty if it is not there.
struct Prove {
  static constexpr std::string_view name = "prove";
  OwnerId owner;
  HashedKey hashed_key;
  BlobId blob_id;
  ProofNonce nonce;
  std::vector<std::uint64_t> indices;  ///< ascending
  struct Reply {
    static constexpr std::string_view name = "proof";
    std::optional<Bytes> manifest;  ///< of the blob proved; without one, the latest of the object
    ZERODB_FIELDS(field("manifest", self.manifest);)
  };
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("blob_id", self.blob_id); field("nonce", self.nonce);
                field("indices", self.indices);)
};

/// The direct answer to a broadcast `get`.
struct Have {
  static constexpr std::string_view name = "have";
  std::uint64_t nonce = 0;        ///< of the broadcast answered
  std::optional<Bytes> manifest;  ///< absent: not here
  using Reply = Ok;
  ZERODB_FIELDS(field("nonce", self.nonce); field("manifest", self.manifest);)
};

using Request = std::variant<Hello, GetRoster, NewRoster, Join, PutInline, PutOpen, PutChunk,
                             PutCommit, PutAbort, GetManifest, GetChunk, GetLeaves, GetDigests,
                             GetEntries, Confirm, Prove, Have>;
using Reply = std::variant<Ok, Hello::Reply, GetRoster::Reply, Committed, Credit,
                           GetManifest::Reply, GetEntries::Reply, Prove::Reply>;

}  // namespace peer

}  // namespace zerodb
