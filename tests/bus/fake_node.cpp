#include "tests/bus/fake_node.hpp"

#include <stdexcept>

namespace zerodb::test {

namespace {

constexpr std::chrono::seconds call_wait_max{20};

Result<ClientAnswer> say(client::Reply reply, Payload payload = {}) {
  return ClientAnswer{std::move(reply), std::move(payload)};
}

}  // namespace

FakeNode::FakeNode(FakeNodeOptions options) : options_(options) {
  start();
}

FakeNode::~FakeNode() {
  stop();
}

void FakeNode::start() {
  io_ = std::make_unique<asio::io_context>(1);
  holding_ = std::make_unique<asio::steady_timer>(*io_, asio::steady_timer::time_point::max());
  context_ = std::make_unique<BusContext>(BusContext::open().value());
  const ClientPortOptions options{.endpoint = endpoint(),
                                  .requests_per_client_max = options_.requests_per_client_max,
                                  .client_bytes_max = options_.client_bytes_max};
  auto port = ClientPort::start(*io_, *context_, options, *this);
  if (!port) throw std::runtime_error(port.error().what);
  port_ = std::move(*port);
  thread_ = std::thread([this] {
    const auto guard = asio::make_work_guard(*io_);
    io_->run();
  });
}

void FakeNode::stop() {
  if (!thread_.joinable()) return;
  asio::post(*io_, [this] {
    port_->stop();
    io_->stop();
  });
  thread_.join();
  port_.reset();
  holding_.reset();
  io_.reset();
  context_.reset();
  const std::lock_guard lock(mutex_);
  uploads_.clear();
  downloads_.clear();
}

bool FakeNode::eventually(std::function<bool()> done) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, call_wait_max, done);
}

void FakeNode::release() {
  look([this] { held.clear(); });
  asio::post(*io_, [this] { holding_->cancel(); });
}

void FakeNode::on_client_gone(ClientId client) {
  look([&] { gone.push_back(client); });
  changed_.notify_all();
}

Task<void> FakeNode::wait_while_held(std::string name) {
  while (look([&] { return held == name; })) {
    look([&] { ++waiting; });
    changed_.notify_all();
    asio::error_code cancelled;
    co_await holding_->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    look([&] { --waiting; });
  }
}

Task<Result<ClientAnswer>> FakeNode::on_client_request(ClientId client, ClientIdentity identity,
                                                       client::Request request, Payload payload) {
  const auto name = std::visit([](const auto& one) { return std::string(one.name); }, request);
  const auto bytes = name == "put_data" ? payload.size() : 0;
  look([&] {
    seen.insert(client);
    identities[client] = identity;
    started.push_back(name);
    unanswered_bytes += bytes;
    unanswered_bytes_max = std::max(unanswered_bytes_max, unanswered_bytes);
  });
  changed_.notify_all();
  co_await asio::post(*io_, asio::use_awaitable);
  co_await wait_while_held(name);
  auto answered = look([&] {
    unanswered_bytes -= bytes;
    if (name == throwing) throw std::bad_alloc();
    return name == failing ? fail(failure) : answer(std::move(request), std::move(payload));
  });
  changed_.notify_all();
  co_return answered;
}

Result<ClientAnswer> FakeNode::answer(client::Request request, Payload payload) {
  return std::visit([&](const auto& one) { return on(one, payload); }, request);
}

client::Upload FakeNode::grant(std::uint64_t upload) const {
  return {.upload = upload, .credit = options_.credit, .chunk_bytes = options_.chunk_bytes};
}

Result<ClientAnswer> FakeNode::stored(std::uint64_t size) const {
  return say(client::Stored{
      .version = version, .size = size, .copies = 2, .wanted = 3, .missing = {"node3"}});
}

Result<ClientAnswer> FakeNode::on(const client::Put& put, const Payload& payload) {
  puts[put.key] = put;
  if (put.size && *put.size == payload.size() && payload.size() <= 65536) {
    objects[put.key] = to_bytes(payload.view());
    return stored(payload.size());
  }
  uploads_[++last_number_].key = put.key;
  return say(grant(last_number_));
}

Result<ClientAnswer> FakeNode::on(const client::PutData& data, const Payload& payload) {
  const auto found = uploads_.find(data.upload);
  if (found == uploads_.end()) return fail(Errc::not_found, "no such upload");
  if (!payload.empty()) {
    found->second.chunks[data.offset] = to_bytes(payload.view());
    offsets.push_back(data.offset);
  }
  return say(grant(data.upload));
}

Result<ClientAnswer> FakeNode::on(const client::PutEnd& end, const Payload&) {
  const auto found = uploads_.find(end.upload);
  if (found == uploads_.end()) return fail(Errc::not_found, "no such upload");
  Bytes content;
  for (const auto& [offset, chunk] : found->second.chunks) {
    if (offset != content.size()) return fail(Errc::invalid, "a gap before a chunk");
    content.insert(content.end(), chunk.begin(), chunk.end());
  }
  if (end.size != content.size()) return fail(Errc::invalid, "bytes are missing");
  objects[found->second.key] = std::move(content);
  uploads_.erase(found);
  return stored(end.size);
}

Result<ClientAnswer> FakeNode::on(const client::PutAbort& abort, const Payload&) {
  uploads_.erase(abort.upload);
  return say(client::Ok{});
}

Result<client::ObjectInfo> FakeNode::info(const std::string& key) const {
  const auto found = objects.find(key);
  if (found == objects.end()) return fail(Errc::not_found, key + ": there is no such object");
  return client::ObjectInfo{.key = key,
                            .size = found->second.size(),
                            .version = version,
                            .mtime_ms = puts.contains(key) ? puts.at(key).mtime_ms : std::nullopt,
                            .chunk_bytes = options_.chunk_bytes};
}

Payload FakeNode::part(const std::string& key, std::uint64_t first, std::uint64_t length) const {
  const auto& content = objects.at(key);
  if (short_answers && length > 0) --length;
  return Payload::copy_of(ByteView(content).subspan(first, length));
}

Result<ClientAnswer> FakeNode::on(const client::Get& get, const Payload&) {
  auto about = info(get.key);
  if (!about) return fail(about.error());
  const auto first = get.first.value_or(0);
  if (first > about->size) return fail(Errc::invalid, "the range begins after the end");
  const auto end = std::min(get.last ? *get.last + 1 : about->size, about->size);
  about->first = first;
  about->length = end - first;
  if (*about->length <= 65536) return say(*about, part(get.key, first, *about->length));
  about->download = ++last_number_;
  downloads_[last_number_] = {.key = get.key, .parts = 0};
  return say(*about);
}

Result<ClientAnswer> FakeNode::on(const client::GetData& data, const Payload&) {
  const auto found = downloads_.find(data.download);
  if (found == downloads_.end()) return fail(Errc::not_found, "no such download");
  auto& download = found->second;
  if (forget_download_after > 0 && ++download.parts > forget_download_after) {
    forget_download_after = 0;
    downloads_.erase(found);
    if (on_forgotten) on_forgotten();
    return fail(Errc::not_found, "no such download");
  }
  return say(client::GetData::Reply{.offset = data.offset},
             part(download.key, data.offset, data.length));
}

Result<ClientAnswer> FakeNode::on(const client::GetEnd& end, const Payload&) {
  downloads_.erase(end.download);
  return say(client::Ok{});
}

Result<ClientAnswer> FakeNode::on(const client::Stat& stat, const Payload&) {
  auto about = info(stat.key);
  if (!about) return fail(about.error());
  return say(*about);
}

Result<ClientAnswer> FakeNode::on(const client::List& list, const Payload&) {
  client::List::Reply reply;
  for (const auto& [key, content] : objects) {
    if (!key.starts_with(list.prefix) || key <= list.after) continue;
    if (reply.entries.size() == list.limit) {
      reply.more = true;
      break;
    }
    reply.entries.push_back({.key = key, .size = content.size(), .version = version});
  }
  return say(reply);
}

Result<ClientAnswer> FakeNode::on(const client::Delete& gone_key, const Payload&) {
  if (objects.erase(gone_key.key) == 0) return fail(Errc::not_found, "there is no such object");
  return stored(0);
}

Result<ClientAnswer> FakeNode::on(const client::Status&, const Payload&) {
  client::Status::Reply reply{.program_version = "0.0", .mesh = "ab", .owner = "cd"};
  reply.members.push_back(
      {.id = "01", .node_name = "node1", .here = true, .up = true, .health = "alive"});
  reply.members.push_back({.id = "02",
                           .node_name = "node2",
                           .health = "down",
                           .since_ms_ago = 90'000,
                           .heard_ms_ago = 90'000});
  return say(reply);
}

Result<ClientAnswer> FakeNode::on(const client::Invite& invite, const Payload&) {
  return say(client::Text{.text = "ticket-" + std::to_string(invite.expires_s) +
                                  (invite.share_owner ? "-owner" : "")});
}

Result<ClientAnswer> FakeNode::on(const client::OwnerShow&, const Payload&) {
  return say(client::Text{.text = "cd"});
}

Result<ClientAnswer> FakeNode::on(const client::OwnerExport&, const Payload&) {
  return say(client::Text{.text = "AAAAA BBBBB"});
}

Result<ClientAnswer> FakeNode::on(const client::OwnerImport& import, const Payload&) {
  return say(client::Text{.text = (import.replace ? "replaced:" : "new:") + import.text});
}

}  // namespace zerodb::test
