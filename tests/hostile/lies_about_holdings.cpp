// What it holds and what it does not.
#include "node/entry_codec.hpp"
#include "store/hash.hpp"
#include "store/receipt.hpp"
#include "tests/hostile/lie.hpp"
#include "tests/sim/sealed_object.hpp"

namespace zerodb::hostile {

namespace {

using Said = std::optional<Result<PeerAnswer>>;

template <class Request>
bool is(const peer::Request& request) {
  return std::holds_alternative<Request>(request);
}

Said ok_with(Payload payload) {
  return Result<PeerAnswer>(PeerAnswer{peer::Ok{}, std::move(payload)});
}

Said hold_nothing(const DaemonParts&, const peer::Request& request) {
  const bool is_bytes = is<peer::GetChunk>(request) || is<peer::GetLeaves>(request);
  if (is_bytes) return Result<PeerAnswer>(fail(Errc::not_found, "nothing is here"));
  if (is<peer::GetManifest>(request)) {
    return Result<PeerAnswer>(PeerAnswer{peer::GetManifest::Reply{}, {}});
  }
  if (is<peer::GetEntries>(request)) {
    return Result<PeerAnswer>(PeerAnswer{peer::GetEntries::Reply{}, {}});
  }
  if (is<peer::Prove>(request)) return Result<PeerAnswer>(PeerAnswer{peer::Prove::Reply{}, {}});
  if (const auto* ask = std::get_if<peer::GetDigests>(&request)) {
    return ok_with(Payload::take(Bytes(partition_count * (ask->with_sizes ? 24 : 16))));
  }
  return {};
}

/// Receipts that a real node would give, for what is thrown away.
peer::Receipt receipt_for(const DaemonParts& parts, ByteView manifest, const NodeId& node) {
  const auto version = SignedManifest::trusted(manifest);
  if (!version) return {};
  const auto now = parts.context.runtime.now_ms();
  const auto made = sign_receipt(parts.keys.sign, node, version->hash(), now);
  return {.time_ms = now, .signature = made.signature};
}

using Receipt = std::function<peer::Receipt(const DaemonParts&, ByteView manifest)>;

/// Takes every part of a put and keeps none.
Said acknowledge(const DaemonParts& parts, const peer::Request& request, const Receipt& receipt) {
  if (is<peer::PutOpen>(request) || is<peer::PutChunk>(request)) {
    return Result<PeerAnswer>(PeerAnswer{peer::Credit{8 << 20}, {}});
  }
  peer::Committed committed{.stored = true};
  if (const auto* put = std::get_if<peer::PutInline>(&request)) {
    committed.receipt = receipt(parts, put->manifest);
  } else if (const auto* commit = std::get_if<peer::PutCommit>(&request)) {
    committed.receipt = receipt(parts, commit->manifest);
  } else {
    return {};
  }
  return Result<PeerAnswer>(PeerAnswer{std::move(committed), {}});
}

Said discard(const DaemonParts& parts, const peer::Request& request) {
  return acknowledge(parts, request, [](const DaemonParts& of, ByteView manifest) {
    return receipt_for(of, manifest, of.keys.curve.public_key);
  });
}

Said sign_for_another(const DaemonParts& parts, const peer::Request& request) {
  return acknowledge(parts, request, [](const DaemonParts& of, ByteView manifest) {
    return receipt_for(of, manifest, random_id<NodeId>());
  });
}

Said forge_receipts(const DaemonParts& parts, const peer::Request& request) {
  return acknowledge(parts, request, [](const DaemonParts& of, ByteView) {
    return peer::Receipt{.time_ms = of.context.runtime.now_ms(),
                         .signature = random_id<Signature>()};
  });
}

/// "A later version stands here", which nobody signed.
Said refuse_for_a_later_one(const DaemonParts& parts, const peer::Request& request) {
  const auto* put = std::get_if<peer::PutInline>(&request);
  const auto* commit = std::get_if<peer::PutCommit>(&request);
  if (put == nullptr && commit == nullptr) return {};
  const auto asked = SignedManifest::trusted(put != nullptr ? put->manifest : commit->manifest);
  if (!asked) return {};
  auto later = asked->manifest();
  later.version = Version::at(parts.context.runtime.now_ms() + 50'000);
  const auto own = OwnerKeys::generate();
  peer::Committed refused{.standing = SignedManifest::sign(later, own).wire()};
  return Result<PeerAnswer>(PeerAnswer{std::move(refused), {}});
}

void random_digests(const peer::Request& request, PeerAnswer& answer) {
  if (is<peer::GetDigests>(request)) answer.payload = random_payload(answer.payload.size());
}

/// "I have what you have": asks the asker for its digests, and hands them back.
class EchoedDigests final : public Lie {
 public:
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  Task<Said> answer(Caller caller, const peer::Request& request, const Payload&) override {
    const auto* question = std::get_if<peer::GetDigests>(&request);
    if (question == nullptr || parts_ == nullptr) co_return std::nullopt;
    const peer::Request same(*question);
    auto theirs = co_await parts_->links.call(caller.key, same, {}, Milliseconds(5'000));
    co_return std::move(theirs);
  }

 private:
  const DaemonParts* parts_ = nullptr;
};

// ------------------------------------------------------------------------------------- listings

Entry made_up_entry(const DaemonParts& parts, std::uint32_t partition) {
  Entry entry{.object = {.owner = random_id<OwnerId>(), .hashed_key = random_id<HashedKey>()},
              .version = Version::at(parts.context.runtime.now_ms()),
              .hash = random_id<ManifestHash>()};
  auto key = entry.object.hashed_key.mutable_view();
  key[0] = static_cast<std::uint8_t>(partition >> 4);
  key[1] = static_cast<std::uint8_t>((partition & 0xf) << 4 | (key[1] & 0xf));
  return entry;
}

/// A page of the first partition asked for, whose owners' keys nobody has. Of the owner asked for,
/// if one is.
Bytes made_up_page(const DaemonParts& parts, const peer::GetEntries& asked, std::size_t count) {
  Bytes page;
  for (std::size_t i = 0; i < count; ++i) {
    auto entry = made_up_entry(parts, asked.partitions.front());
    if (asked.owner) entry.object.owner = *asked.owner;
    append_entry(page, entry);
  }
  return page;
}

/// Always one step further than asked, so that no listing ends.
Bytes next_position(const peer::GetEntries& asked) {
  auto position = asked.after.value_or(Bytes(position_bytes));
  for (auto digit = position.rbegin(); digit != position.rend(); ++digit) {
    if (++*digit != 0) break;
  }
  return position;
}

Said list_without_end(const DaemonParts& parts, const peer::Request& request, std::size_t count) {
  const auto* asked = std::get_if<peer::GetEntries>(&request);
  if (asked == nullptr || asked->partitions.empty()) return {};
  peer::GetEntries::Reply reply{.next_partition = asked->partitions.front(),
                                .next_after = next_position(*asked)};
  return Result<PeerAnswer>(
      PeerAnswer{std::move(reply), Payload::take(made_up_page(parts, *asked, count))});
}

Said list_made_up(const DaemonParts& parts, const peer::Request& request) {
  return list_without_end(parts, request, 5'000);
}

Said list_nothing_for_ever(const DaemonParts& parts, const peer::Request& request) {
  return list_without_end(parts, request, 0);
}

void list_on_the_spot(const peer::Request& request, PeerAnswer& answer) {
  const auto* asked = std::get_if<peer::GetEntries>(&request);
  auto* reply = std::get_if<peer::GetEntries::Reply>(&answer.message);
  if (asked == nullptr || reply == nullptr || asked->partitions.empty()) return;
  reply->next_partition = asked->partitions.front();
  reply->next_after = asked->after;
}

Said list_elsewhere(const DaemonParts& parts, const peer::Request& request) {
  const auto* asked = std::get_if<peer::GetEntries>(&request);
  if (asked == nullptr || asked->partitions.empty()) return {};
  peer::GetEntries other{.partitions = {(asked->partitions.back() + 1) % 4096}};
  return Result<PeerAnswer>(
      PeerAnswer{peer::GetEntries::Reply{}, Payload::take(made_up_page(parts, other, 100))});
}

// ------------------------------------------------------------------------------------- confirms

void confirm_all(const peer::Request& request, PeerAnswer& answer) {
  if (!is<peer::Confirm>(request)) return;
  answer.payload = Payload::take(Bytes(answer.payload.size(), std::uint8_t{2}));
}

void confirm_nonsense(const peer::Request& request, PeerAnswer& answer) {
  if (is<peer::Confirm>(request)) answer.payload = random_payload(answer.payload.size() + 1);
}

const std::array holding_lies{
    NamedLie{"nothing", "holds nothing, whatever it is asked", saying(hold_nothing)},
    NamedLie{"discard", "acknowledges puts, with good receipts, and throws them away",
             saying(discard)},
    NamedLie{"receipts-other", "throws puts away and signs another node's receipts",
             saying(sign_for_another)},
    NamedLie{"receipts-forged", "throws puts away; receipts signed by nobody",
             saying(forge_receipts)},
    NamedLie{"standing-forged", "refuses every commit for a later version that nobody signed",
             saying(refuse_for_a_later_one)},
    NamedLie{"digests-random", "other digests each time", twisting(random_digests)},
    NamedLie{"digests-echo", "the asker's own digests", making<EchoedDigests>()},
    NamedLie{"entries-endless", "listings without end, of objects that nobody stored",
             saying(list_made_up)},
    NamedLie{"entries-void", "listings without end and without entries",
             saying(list_nothing_for_ever)},
    NamedLie{"entries-stuck", "listings that go on where they began", twisting(list_on_the_spot)},
    NamedLie{"entries-elsewhere", "entries of partitions not asked for", saying(list_elsewhere)},
    NamedLie{"confirm-all", "has every version it is asked to confirm", twisting(confirm_all)},
    NamedLie{"confirm-junk", "confirms with nonsense", twisting(confirm_nonsense)},
};

}  // namespace

std::span<const NamedLie> lies_about_holdings() {
  return holding_lies;
}

}  // namespace zerodb::hostile
