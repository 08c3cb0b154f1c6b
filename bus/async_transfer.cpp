#include "bus/async_transfer.hpp"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "store/cipher.hpp"

namespace zerodb {

namespace {

// Of one client a node keeps 16 uploads and 64 downloads open; what these hold in memory is the
// tighter limit.
constexpr std::size_t uploads_at_once = 8;
constexpr std::size_t downloads_at_once = 4;
constexpr std::size_t parts_ahead = 8;

using PendingPtr = std::shared_ptr<AsyncChannel::Pending>;

}  // namespace

// ----------------------------------------------------------------------------------------- turns

Task<Turns::Turn> Turns::take() {
  if (free_ > 0) {
    --free_;
    co_return Turn(*this);
  }
  auto turn = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  waiting_.push_back(turn);
  asio::error_code come;  // how a timer that never ends is ended
  co_await turn->async_wait(asio::redirect_error(asio::use_awaitable, come));
  co_return Turn(*this);
}

/// A turn passes to the first who waits, without being free in between.
void Turns::give_back() {
  if (waiting_.empty()) {
    ++free_;
    return;
  }
  waiting_.front()->cancel();
  waiting_.pop_front();
}

AsyncTransfers::AsyncTransfers(std::shared_ptr<AsyncChannel> over)
    : channel(std::move(over)),
      uploads(channel->io(), uploads_at_once),
      downloads(channel->io(), downloads_at_once) {}

// ------------------------------------------------------------------------------------------- put

namespace {

/// One chunk under way.
struct Part {
  PendingPtr pending;
  std::size_t bytes = 0;
};

/// Waits for the oldest chunk's answer, which says how many bytes may be under way.
Task<Status> take_credit(std::deque<Part>& parts, std::uint64_t& unanswered,
                         client::Upload& upload) {
  auto answer = co_await AsyncChannel::Pending::answer(parts.front().pending);
  unanswered -= parts.front().bytes;
  parts.pop_front();
  auto granted = expect_reply<client::Upload>(answer);
  if (!granted) co_return fail(std::move(granted.error()));
  upload = *granted;
  co_return Status();
}

/// All chunks, as many at once as the node gives credit for.
Task<Status> send_chunks(std::shared_ptr<AsyncChannel> channel, client::Upload upload,
                         Payload content) {
  const std::size_t chunk_bytes = upload.chunk_bytes;
  if (chunk_bytes == 0 || chunk_bytes > chunk_bytes_max) {
    co_return fail(Errc::invalid,
                   "the node asks for chunks of " + std::to_string(chunk_bytes) + " bytes");
  }
  std::deque<Part> parts;
  std::uint64_t unanswered = 0;
  for (std::size_t offset = 0; offset < content.size(); offset += chunk_bytes) {
    auto chunk = content.slice(offset, chunk_bytes);
    const auto bytes = chunk.size();
    while (!parts.empty() && unanswered + bytes > upload.credit) {
      auto taken = co_await take_credit(parts, unanswered, upload);
      if (!taken) co_return taken;
    }
    unanswered += bytes;
    parts.push_back({channel->start(client::PutData{.upload = upload.upload, .offset = offset},
                                    std::move(chunk)),
                     bytes});
  }
  while (!parts.empty()) {
    auto taken = co_await take_credit(parts, unanswered, upload);
    if (!taken) co_return taken;
  }
  co_return Status();
}

Task<Result<client::Stored>> put_large(std::shared_ptr<AsyncTransfers> transfers,
                                       client::Put request, Payload content) {
  const auto turn = co_await transfers->uploads.take();
  const auto channel = transfers->channel;
  auto opening = co_await AsyncChannel::Pending::answer(channel->start(std::move(request)));
  auto upload = expect_reply<client::Upload>(opening);
  if (!upload) co_return fail(std::move(upload.error()));
  auto sent = co_await send_chunks(channel, *upload, content);
  if (!sent) {
    channel->start(client::PutAbort{.upload = upload->upload});  // its answer changes nothing
    co_return fail(std::move(sent.error()));
  }
  co_return co_await AsyncChannel::ask(
      channel, client::PutEnd{.upload = upload->upload, .size = content.size()});
}

}  // namespace

Task<Result<client::Stored>> put_object(std::shared_ptr<AsyncTransfers> transfers,
                                        client::Put request, Payload content) {
  request.size = content.size();
  if (content.size() > inline_bytes_max) {
    co_return co_await put_large(std::move(transfers), std::move(request), std::move(content));
  }
  auto answer = co_await AsyncChannel::Pending::answer(
      transfers->channel->start(std::move(request), std::move(content)));
  co_return expect_reply<client::Stored>(answer);
}

// ------------------------------------------------------------------------------------------- get

namespace {

struct Opened {
  client::ObjectInfo info;
  Payload payload;
};

Task<Result<Opened>> open_download(std::shared_ptr<AsyncChannel> channel, client::Get request) {
  auto answer = co_await AsyncChannel::Pending::answer(channel->start(std::move(request)));
  auto info = expect_reply<client::ObjectInfo>(answer);
  if (!info) co_return fail(std::move(info.error()));
  co_return Opened{std::move(*info), std::move(answer->payload)};
}

void close_download(AsyncChannel& channel, const client::ObjectInfo& info) {
  if (info.download) channel.start(client::GetEnd{.download = *info.download});
}

/// The object came with the first answer.
Result<Bytes> whole(const Opened& opened) {
  const auto length = opened.info.length.value_or(opened.info.size);
  if (opened.payload.size() == length) return to_bytes(opened.payload.view());
  return fail(Errc::corrupt, "the node sent " + std::to_string(opened.payload.size()) + " of " +
                                 std::to_string(length) + " bytes");
}

/// Parts asked for ahead, appended in order.
Task<Result<Bytes>> pull(std::shared_ptr<AsyncChannel> channel, const client::ObjectInfo& info) {
  const auto first = info.first.value_or(0);
  const auto end = first + *info.length;
  const std::uint64_t chunk_bytes = std::clamp(info.chunk_bytes.value_or(0), 1U, chunk_bytes_max);
  Bytes content;
  content.reserve(static_cast<std::size_t>(*info.length));
  std::deque<Part> parts;
  for (auto asked = first; asked < end || !parts.empty();) {
    if (asked < end && parts.size() < parts_ahead) {
      const auto length = std::min((asked / chunk_bytes + 1) * chunk_bytes, end) - asked;
      parts.push_back(
          {channel->start(client::GetData{.download = *info.download,
                                          .offset = asked,
                                          .length = static_cast<std::uint32_t>(length)}),
           static_cast<std::size_t>(length)});
      asked += length;
      continue;
    }
    auto answer = co_await AsyncChannel::Pending::answer(parts.front().pending);
    auto data = expect_reply<client::GetData::Reply>(answer);
    if (!data) co_return fail(std::move(data.error()));
    const auto bytes = answer->payload.view();
    if (bytes.size() != parts.front().bytes) {
      co_return fail(Errc::corrupt, "the node sent " + std::to_string(bytes.size()) +
                                        " bytes where " + std::to_string(parts.front().bytes) +
                                        " were asked for");
    }
    content.insert(content.end(), bytes.begin(), bytes.end());
    parts.pop_front();
  }
  co_return content;
}

/// What the node granted lies within the object and is not more than the client will hold.
Status check_length(const client::ObjectInfo& info, std::uint64_t bytes_max) {
  const auto length = info.length.value_or(info.size);
  if (!info.length || length > info.size || info.first.value_or(0) > info.size - length) {
    return fail(Errc::invalid, "the node's answer names bytes beyond the object's end");
  }
  if (length <= bytes_max) return {};
  return fail(Errc::invalid, "get '" + printable(info.key) + "': " + std::to_string(length) +
                                 " bytes are more than the " + std::to_string(bytes_max) +
                                 " that this client holds in memory: stream it, or get ranges");
}

}  // namespace

/// A download waits its turn closed: many may be asked for at once, few may be open with the node.
Task<Result<Bytes>> get_object(std::shared_ptr<AsyncTransfers> transfers, client::Get request,
                               std::uint64_t bytes_max) {
  const auto channel = transfers->channel;
  auto opened = co_await open_download(channel, request);
  if (opened && !opened->info.download) co_return whole(*opened);
  if (!opened && opened.error().code != Errc::busy) co_return fail(std::move(opened.error()));
  if (opened) close_download(*channel, opened->info);

  const auto turn = co_await transfers->downloads.take();
  opened = co_await open_download(channel, std::move(request));
  if (!opened) co_return fail(std::move(opened.error()));
  if (!opened->info.download) co_return whole(*opened);
  auto fits = check_length(opened->info, bytes_max);
  Result<Bytes> content = fail(Errc::invalid, "");
  if (fits) content = co_await pull(channel, opened->info);
  if (!fits) content = fail(std::move(fits.error()));
  close_download(*channel, opened->info);
  co_return content;
}

}  // namespace zerodb
