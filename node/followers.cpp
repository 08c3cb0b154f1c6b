#include "node/followers.hpp"

#include <spdlog/spdlog.h>

#include "store/cipher.hpp"
#include "store/fields.hpp"

namespace zerodb {
namespace {

constexpr std::size_t follower_name_bytes_max = 64;
constexpr std::uint32_t followers_format = 1;
constexpr std::string_view followers_domain = "zerodb follower";

struct FollowersContent {
  struct One {
    std::string name;
    LogEpoch epoch;
    std::uint64_t next = 0;
    template <class Self, class Visitor>
    static void visit(Self& self, Visitor& field) {
      field("name", self.name);
      field("epoch", self.epoch);
      field("next", self.next);
    }
  };
  std::uint32_t format = followers_format;
  bool lost = false;
  std::vector<One> followers;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("format", self.format);
    field("lost", self.lost);
    field("followers", self.followers);
  }
};

/// The catalogue's key encrypts files of its own.
Secret<32> key_for_followers(const Secret<32>& catalogue_key) {
  auto hash = keyed_blake2b_256(followers_domain, catalogue_key.view(), {});
  auto key = Secret<32>::from(hash);
  wipe(hash);
  return std::move(*key);
}

tl::unexpected<Error> no_such_follower(const std::string& name) {
  return fail(Errc::not_found, "there is no follower '" + name + "'");
}

}  // namespace

Status check_follower_name(const std::string& name) {
  const auto fits = [](char c) { return c >= ' ' && c <= '~'; };
  if (!name.empty() && name.size() <= follower_name_bytes_max && std::ranges::all_of(name, fits)) {
    return {};
  }
  return fail(Errc::invalid, "'" + printable(name) +
                                 "' is no follower's name: 1 to 64 printable ASCII characters");
}

Followers::Followers(Runtime& runtime, FollowersFile file, const Secret<32>& catalogue_key)
    : runtime_(runtime),
      file_(std::move(file)),
      key_(key_for_followers(catalogue_key)),
      changed_(runtime) {}

// ---------------------------------------------------------------------------------------- the file

Bytes Followers::encode() const {
  FollowersContent content;
  content.lost = lost_;
  for (const auto& [name, position] : followers_)
    content.followers.push_back({name, position.epoch, position.next});
  return seal_small(key_, as_bytes(followers_domain), fields::encode(content));
}

Status Followers::decode(const Result<Bytes>& file) {
  if (!file && file.error().code == Errc::not_found) return {};
  if (!file && file.error().code != Errc::corrupt) return fail("followers", Error(file.error()));
  auto plain = file ? open_small(key_, as_bytes(followers_domain), *file) : file;
  auto content = plain ? fields::decode<FollowersContent>(*plain) : fail(std::move(plain.error()));
  if (!content || content->format != followers_format) {
    spdlog::warn(
        "the file of followers cannot be read{}; each is told that it may have missed events",
        content ? "" : ": " + content.error().what);
    lost_ = true;
    return {};
  }
  lost_ = content->lost;
  for (auto& one : content->followers)
    followers_[std::move(one.name)] = {.epoch = one.epoch, .next = one.next};
  return {};
}

Task<Status> Followers::open() {
  while (opening_)
    co_await changed_.wait();
  if (opened_ || !file_.load) co_return Status();
  opening_ = true;
  auto load = [this] { return file_.load(); };
  const auto loaded = co_await offload(runtime_, load);
  auto decoded = decode(loaded);
  opened_ = decoded.has_value();
  opening_ = false;
  changed_.notify();
  co_return decoded;
}

/// All that changed before the call. Those who come while a file is being written share the next.
Task<Status> Followers::save() {
  const auto mine = ++changes_;
  while (saved_changes_ < mine) {
    if (saving_) {
      co_await changed_.wait();
      continue;
    }
    const auto saved = changes_;
    const auto added = added_;
    const auto content = encode();
    saving_ = true;
    Status written;
    auto write = [&] { return file_.save(content); };
    if (file_.save) written = co_await offload(runtime_, write);
    saving_ = false;
    if (written) {
      saved_changes_ = saved;
      for (const auto& name : added)
        added_.erase(name);
    }
    changed_.notify();
    if (!written) co_return fail("followers", std::move(written.error()));
  }
  co_return Status();
}

// ------------------------------------------------------------------------------------------- calls

Task<Result<std::optional<FollowerPosition>>> Followers::find(std::string name) {
  if (auto opened = co_await open(); !opened) co_return fail(std::move(opened.error()));
  std::optional<FollowerPosition> position;
  const auto found = followers_.find(name);
  if (found != followers_.end() && !added_.contains(name)) position = found->second;
  co_return position;
}

Task<Result<FollowerPosition>> Followers::add(std::string name, FollowerPosition position) {
  if (auto opened = co_await open(); !opened) co_return fail(std::move(opened.error()));
  if (!followers_.contains(name) && followers_.size() >= followers_max) {
    co_return fail(Errc::full, "there are " + std::to_string(followers_max) +
                                   " durable followers; remove one that is not needed any more");
  }
  if (lost_) position = {.next = 0};
  const auto [at, is_new] = followers_.try_emplace(name, position);
  position = at->second;
  if (is_new) added_.insert(name);
  if (auto saved = co_await save(); !saved) co_return fail(std::move(saved.error()));
  co_return position;
}

Task<Result<FollowerPosition>> Followers::move(std::string name, FollowerPosition position,
                                               bool back) {
  if (auto opened = co_await open(); !opened) co_return fail(std::move(opened.error()));
  const auto found = followers_.find(name);
  if (found == followers_.end()) co_return no_such_follower(name);
  const bool forward =
      position.epoch != found->second.epoch || position.next > found->second.next || back;
  if (forward) found->second = position;
  position = found->second;
  if (!forward && saved_changes_ == changes_) co_return position;
  if (auto saved = co_await save(); !saved) co_return fail(std::move(saved.error()));
  co_return position;
}

Task<Status> Followers::remove(std::string name) {
  if (auto opened = co_await open(); !opened) co_return opened;
  const bool known = followers_.erase(name) != 0;
  // One that is gone here may still be in the file, if that could not be written.
  if (known || saved_changes_ != changes_) {
    if (auto saved = co_await save(); !saved) co_return saved;
  }
  if (!known) co_return no_such_follower(name);
  co_return Status();
}

Task<Result<std::map<std::string, FollowerPosition>>> Followers::all() {
  if (auto opened = co_await open(); !opened) co_return fail(std::move(opened.error()));
  co_return followers_;
}

}  // namespace zerodb
