// More than anybody should be asked for.
#include <mutex>

#include "node/entry_codec.hpp"
#include "node/roster.hpp"
#include "store/hash.hpp"
#include "tests/hostile/shouting.hpp"

namespace zerodb::hostile {

namespace {

/// The same question to all, as fast as they take it.
class Flood : public Shouting {
 public:
  ~Flood() override { silence(); }

 protected:
  virtual std::pair<peer::Request, Bytes> ask(std::uint64_t round) = 0;
  virtual bool reads_answers() const { return true; }
  virtual Milliseconds pause() const { return Milliseconds::zero(); }

 private:
  void shout(const std::vector<PeerAddress>& others) final {
    auto all = lanes(others, reads_answers() ? 1000 : 1);
    for (std::uint64_t round = 0; goes_on(); ++round) {
      for (auto& lane : all) {
        const auto [request, payload] = ask(round);
        lane.send(next_id(), request, payload);
        if (reads_answers()) lane.drain();
      }
      std::this_thread::sleep_for(pause());
    }
  }
};

/// Cheap to ask, dear to answer: listings of everything.
class ListingFlood final : public Flood {
 public:
  ~ListingFlood() override { silence(); }

 private:
  std::pair<peer::Request, Bytes> ask(std::uint64_t round) override {
    if (round % 2 == 0) return {peer::GetDigests{.with_sizes = true}, {}};
    peer::GetEntries everything;
    for (std::uint32_t i = 0; i < partition_count; ++i)
      everything.partitions.push_back(i);
    return {std::move(everything), {}};
  }
};

/// About a large object that it heard of.
class InformedFlood : public Flood {
 public:
  ~InformedFlood() override { silence(); }
  void hear(const peer::Request& request) override {
    const auto* commit = std::get_if<peer::PutCommit>(&request);
    if (commit == nullptr) return;
    const auto manifest = SignedManifest::verify(commit->manifest);
    if (!manifest) return;
    const std::lock_guard guard(mutex_);
    known_ = (*manifest)->binding();
  }

 protected:
  ChunkBinding known() const {
    const std::lock_guard guard(mutex_);
    return known_;
  }

 private:
  mutable std::mutex mutex_;
  ChunkBinding known_;
};

/// Large chunks, without reading a single answer.
class ChunkFlood final : public InformedFlood {
 public:
  ~ChunkFlood() override { silence(); }

 private:
  std::pair<peer::Request, Bytes> ask(std::uint64_t /*round*/) override {
    const auto [object, blob_id] = known();
    return {
        peer::GetChunk{
            .owner = object.owner, .hashed_key = object.hashed_key, .blob_id = blob_id, .index = 0},
        {}};
  }
  bool reads_answers() const override { return false; }
};

/// All that is cheap to ask, in turn, but for what it would be banned for.
class AskFlood final : public InformedFlood {
 public:
  ~AskFlood() override { silence(); }

 private:
  std::pair<peer::Request, Bytes> ask(std::uint64_t round) override {
    const auto [object, blob_id] = known();
    switch (round % 5) {
      case 0:
        return {peer::PutAbort{random_id<TransferId>()}, {}};
      case 1:
        return {peer::GetManifest{.owner = object.owner, .hashed_key = object.hashed_key}, {}};
      case 2:
        return {peer::GetLeaves{.owner = object.owner,
                                .hashed_key = object.hashed_key,
                                .blob_id = blob_id,
                                .first = 0,
                                .count = 1},
                {}};
      case 3:
        return {peer::Prove{.owner = object.owner,
                            .hashed_key = object.hashed_key,
                            .blob_id = blob_id,
                            .nonce = random_id<peer::ProofNonce>(),
                            .indices = {0}},
                {}};
      default:
        return {peer::Have{.nonce = round, .manifest = random_bytes(200)}, {}};
    }
  }
};

/// "Do you hold these?": what nobody does, so that they are fetched from the liar.
class ConfirmFlood final : public Flood {
 public:
  ~ConfirmFlood() override { silence(); }

 private:
  std::pair<peer::Request, Bytes> ask(std::uint64_t /*round*/) override {
    Bytes page;
    for (std::size_t i = 0; i < 1000; ++i) {
      append_entry(page,
                   {.object = {.owner = random_id<OwnerId>(), .hashed_key = random_id<HashedKey>()},
                    .version = Version::at(1'000),
                    .hash = random_id<ManifestHash>()});
    }
    return {peer::Confirm{}, std::move(page)};
  }
};

/// Greetings, each with a new word of where it listens.
class HelloStorm : public Flood {
 public:
  ~HelloStorm() override { silence(); }
  void begin(const DaemonParts& of) override {
    own_ = {.node = of.keys.curve.public_key,
            .sequence = of.context.runtime.now_ms(),
            .endpoint = of.links.endpoint(),
            .broadcast_endpoint = of.links.broadcast_endpoint()};
    hello_ = of.membership.hello();
    Flood::begin(of);
  }

 protected:
  virtual void change(NodeRecord& /*record*/) {}

 private:
  std::pair<peer::Request, Bytes> ask(std::uint64_t /*round*/) override {
    own_.sequence += 1;
    change(own_);
    hello_.record = SignedRecord::sign(own_, parts().keys.sign).wire();
    return {hello_, {}};
  }

  NodeRecord own_;
  peer::Hello hello_;
};

/// And it moves each time, so that links to it are made anew. As often as nobody is banned for it.
class MovingStorm final : public HelloStorm {
 public:
  ~MovingStorm() override { silence(); }

 private:
  void change(NodeRecord& record) override {
    record.endpoint = "tcp://127.0.0.1:" + std::to_string(1024 + record.sequence % 60'000);
  }
  Milliseconds pause() const override { return Milliseconds(11); }
};

/// Connections made and dropped.
class Flapping final : public Shouting {
 public:
  ~Flapping() override { silence(); }

 private:
  void shout(const std::vector<PeerAddress>& others) override {
    while (goes_on()) {
      for (auto& lane : lanes(others, 1000))
        lane.send(next_id(), peer::GetDigests{});
    }
  }
};

/// Opens all the uploads it may, sends what cannot be right, and ends none.
class OpenUploads final : public Shouting {
 public:
  ~OpenUploads() override { silence(); }

 private:
  void shout(const std::vector<PeerAddress>& others) override {
    auto all = lanes(others, 1000);
    const Bytes chunk(sealed_chunk_bytes_max, 1);
    while (goes_on()) {
      for (auto& lane : all)
        open_one(lane, chunk);
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }

  void open_one(RawLane& lane, const Bytes& chunk) {
    const auto transfer = random_id<TransferId>();
    lane.send(next_id(), peer::PutOpen{.transfer = transfer,
                                       .owner = random_id<OwnerId>(),
                                       .hashed_key = random_id<HashedKey>(),
                                       .blob_id = random_id<BlobId>(),
                                       .chunk_bytes = chunk_bytes_max});
    lane.send(next_id(), peer::PutChunk{.transfer = transfer, .index = ~std::uint64_t{0} / 2},
              chunk);
    lane.send(next_id(), peer::PutChunk{.transfer = transfer, .index = 0},
              ByteView(chunk).first(4096));
    lane.drain();
  }
};

const std::array flood_lies{
    NamedLie{"flood-listings", "asks for all digests and entries, without pause",
             making<ListingFlood>()},
    NamedLie{"flood-chunks", "asks for large chunks without pause, and reads no answer",
             making<ChunkFlood>()},
    NamedLie{"flood-asks", "asks for manifests, leaves and proofs in turn, without pause",
             making<AskFlood>()},
    NamedLie{"flood-confirms", "asks to confirm 1000 made-up versions, without pause",
             making<ConfirmFlood>()},
    NamedLie{"hello-storm", "greets without pause, each time with a new record",
             making<HelloStorm>()},
    NamedLie{"hello-moving", "greets as often as it may, each time from another address",
             making<MovingStorm>()},
    NamedLie{"flap", "connects, asks, and disconnects, without pause", making<Flapping>()},
    NamedLie{"uploads", "begins uploads, sends chunks of a wrong size or index, ends none",
             making<OpenUploads>()},
};

}  // namespace

std::span<const NamedLie> floods() {
  return flood_lies;
}

}  // namespace zerodb::hostile
