#pragma once
// What a catalogue knows: the names learnt so far, on disk, and what each node had when all of it
// was learnt. What is learnt is gathered in memory and written in batches, a node's digests never
// before the names they stand for. A store that fails is emptied and begun again, or replaced by
// one in memory: no name in it is lost that the mesh does not know, and its event log has another
// epoch then. While somebody follows the log, what is learnt is written at once, durably. One
// thread: the node's executor.

#include <functional>
#include <map>
#include <memory>

#include "node/digest_forecast.hpp"
#include "node/wakeup.hpp"
#include "store/name_store.hpp"
#include "store/store.hpp"

namespace zerodb {

/// Opens the store of an owner's names. Called once, off the network thread.
using OpenNames = std::function<Result<std::unique_ptr<NameStore>>()>;
using Digests = std::vector<PartitionDigest>;
using Holders = std::function<std::vector<NodeId>(Partition)>;

class KnownNames : public std::enable_shared_from_this<KnownNames> {
 public:
  /// `holders` says which nodes should hold a partition. What has not seen the whole mesh for
  /// longer than `unseen_max` is begun again.
  KnownNames(Runtime& runtime, const OwnerId& owner, Holders holders, OpenNames open,
             Milliseconds unseen_max, EventBounds bounds);

  /// Opened by whatever comes first; may be called ahead of it.
  Task<void> open();
  /// Before the mesh is looked at again: begins again if that was too long ago.
  Task<void> renew();

  /// A version on its way to all holders, whose digests are expected to change by it. At no cost of
  /// its own. Above a bound nothing is learnt: the digests tell of it again.
  void learn(NameRecord record);
  /// As learn(), of what others have announced.
  Task<void> learn_announced(std::vector<NameRecord> records);
  /// What was listed. Waits for the disk to take it.
  Task<void> learn_all(std::vector<NameRecord> records);
  /// Until all that was learnt is with the store.
  Task<void> flush();

  /// Those later than what is known, of what was settled before.
  Task<std::vector<Entry>> news_among(std::vector<Entry> entries);

  /// All that is known in the partitions, of what was settled before. Nothing if the store was
  /// lost meanwhile.
  Task<std::optional<std::vector<KnownObject>>> known_in(std::vector<Partition> partitions);

  /// Everything settled before is in it. Nothing if the store was lost meanwhile: catch up again.
  Task<std::optional<NamePage>> page(ListQuery query);

  /// Of all that was learnt before. Nothing if the store was lost meanwhile: its log is another.
  Task<std::optional<EventPage>> events(EventQuery query);
  /// Whether what is learnt from now on is written at once, durably.
  void set_followed(bool followed) { followed_ = followed; }
  /// Notified when events may have been added, and now and then without a reason.
  Wakeup& changed() { return changed_; }
  /// Grows with each of those that has a reason.
  std::uint64_t revision() const { return revision_; }

  /// Grows whenever the store was lost and begun again, and with it all that was learnt.
  std::uint64_t life() const { return life_; }
  /// Begins again, as something that was learnt is not so any more. Seldom: whoever can bring that
  /// about at will must not keep everybody learning.
  Task<void> begin_again(std::uint64_t life, Error why);

  /// What `node` has if it has all that was learnt, and nothing else; zeros where nothing was.
  const Digests& digests_of(const NodeId& node) const;
  /// All that `node` has in `partition`, by its `digest`, has been given to learn_all(), in `life`.
  void saw(std::uint64_t life, const NodeId& node, Partition partition,
           const PartitionDigest& digest);
  /// The whole mesh was seen, now.
  void saw_all(std::uint64_t life);
  /// Of whom something was learnt.
  std::vector<NodeId> nodes() const;
  void forget(const NodeId& node);

 private:
  using Self = std::shared_ptr<KnownNames>;
  struct Batch {
    std::vector<NameRecord> records;
    std::vector<Announced> announced;
    NameNotes notes;
  };

  /// What a lookup finds. Nothing if the store was lost meanwhile. The caller keeps this alive.
  template <class Look>
  using Found = std::optional<typename std::invoke_result_t<Look, NameStore&>::value_type>;
  template <class Look>
  Task<Found<Look>> look_up(Look look);

  static Task<void> open(Self self);
  static Task<void> write_all(Self self, bool with_digests);
  static Task<void> write_later(Self self);
  static Task<void> write_soon(Self self);
  struct Opened;

  static Opened in_memory(const Error& why);
  /// `seen_since_ms`: what has not seen the whole mesh since then is emptied.
  static Opened open_now(const OpenNames& open, std::uint64_t seen_since_ms);
  std::uint64_t seen_since_ms() const;
  Task<void> lose(std::uint64_t life, Error why);
  void begin_life();
  void take_notes(const NameNotes& notes);
  NameNotes changed_notes(bool with_digests);
  void expect(const std::vector<DigestChange>& changes);
  void wake_writer();
  void wake_writer_soon();

  Runtime& runtime_;
  OwnerId owner_;
  Holders holders_;
  OpenNames open_;
  Milliseconds unseen_max_;
  EventBounds bounds_;
  Wakeup changed_;                    ///< opened, or written
  std::shared_ptr<NameStore> store_;  ///< shared with work under way off this thread
  bool opening_ = false;              ///< or being emptied: nobody looks into it meanwhile
  bool writing_ = false;
  bool writer_waits_ = false;  ///< a write is coming by itself
  bool writer_comes_ = false;  ///< and another at once
  bool followed_ = false;
  std::uint64_t revision_ = 0;
  std::uint64_t life_ = 0;
  std::vector<NameRecord> learnt_;    ///< not yet with the store
  std::vector<Announced> announced_;  ///< those of them
  std::map<NodeId, Digests> digests_;
  std::map<NodeId, bool> digests_changed_;  ///< since they were written; false: forgotten
  std::uint64_t seen_all_ms_ = 0;
  std::optional<std::uint64_t> begun_again_ms_;  ///< steady
  bool seen_all_changed_ = false;
};

}  // namespace zerodb
