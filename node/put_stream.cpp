#include "node/put_stream.hpp"

#include "node/put_lanes.hpp"
#include "node/put_small.hpp"

namespace zerodb {
namespace {

class SealingStream : public PutStream {
 public:
  SealingStream(CorePtr core, PutSpec spec) : core_(std::move(core)), spec_(std::move(spec)) {}
  ~SealingStream() override {
    if (lanes_ && !acknowledged_) lanes_->abandon();
  }

  Task<Status> write(Payload plain) override;
  Task<Result<WriteReceipt>> finish(std::uint64_t total) override;

 private:
  Status check(const Payload& plain) const;
  Status send(Payload plain, bool last);

  CorePtr core_;
  PutSpec spec_;
  std::shared_ptr<PutLanes> lanes_;  ///< once there is more than fits inline; replicas end behind
  std::optional<Payload> held_;      ///< the latest chunk: it may be the last
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
  bool acknowledged_ = false;
};

Status SealingStream::check(const Payload& plain) const {
  const auto refuse = [&](const char* why) {
    return fail(Errc::invalid, about("put", spec_.name) + ": " + why);
  };
  if (finished_) return refuse("a chunk after the end");
  if (plain.empty() || plain.size() > chunk_bytes_max) return refuse("a chunk of a wrong size");
  if (held_ && held_->size() != chunk_bytes_max) return refuse("a short chunk before the last");
  return {};
}

Status SealingStream::send(Payload plain, bool last) {
  if (!lanes_) {
    auto draft = make_draft(*core_, spec_);
    if (!draft) return fail("put", std::move(draft.error()));
    lanes_ = PutLanes::open(core_, std::move(*draft), spec_.receipts);
  }
  lanes_->send(std::move(plain), last);
  return {};
}

Task<Status> SealingStream::write(Payload plain) {
  if (auto good = check(plain); !good) co_return good;
  bytes_ += plain.size();
  auto previous = std::exchange(held_, std::move(plain));
  if (!previous) co_return Status{};
  if (auto sent = send(std::move(*previous), false); !sent) co_return sent;
  const auto lanes = lanes_;  // a write may wait here longer than the stream lives
  co_return co_await lanes->room();
}

Task<Result<WriteReceipt>> SealingStream::finish(std::uint64_t total) {
  if (finished_ || total != bytes_) {
    co_return fail(Errc::invalid, about("put", spec_.name) + ": ends after " +
                                      std::to_string(total) + " bytes, but " +
                                      std::to_string(bytes_) + " came");
  }
  finished_ = true;
  auto last = std::exchange(held_, std::nullopt).value_or(Payload{});
  if (total <= inline_bytes_max) {
    co_return co_await put_small(core_, std::move(spec_), std::move(last));
  }
  if (auto sent = send(std::move(last), true); !sent) co_return fail(std::move(sent.error()));
  const auto lanes = lanes_;
  auto receipt = co_await lanes->commit(total, spec_.condition);
  acknowledged_ = receipt.has_value();
  co_return receipt;
}

}  // namespace

Result<std::unique_ptr<PutStream>> open_put_stream(CorePtr core, PutSpec spec) {
  auto draft = make_draft(*core, spec);  // says now what would fail later
  if (!draft) return fail("put", std::move(draft.error()));
  return std::make_unique<SealingStream>(std::move(core), std::move(spec));
}

}  // namespace zerodb
