#include "bus/client_download.hpp"

#include "store/cipher.hpp"

namespace zerodb {

namespace {

constexpr std::size_t window_parts = 8;

ByteView view_of(const zmq::message_t& message) {
  return {message.data<std::uint8_t>(), message.size()};
}

}  // namespace

Result<client::ObjectInfo> ClientDownload::run() {
  auto info = open();
  if (!info) return info;
  auto pulled = pull();
  close();
  if (!pulled) return fail(std::move(pulled.error()));
  return info;
}

ClientDownload::Opened ClientDownload::ask() {
  return std::visit([this](const auto& request) { return channel_.call(request); }, request_);
}

/// Asks for the object; what is small enough comes and is delivered at once.
Result<client::ObjectInfo> ClientDownload::open() {
  auto reply = ask();
  if (!reply) return fail(std::move(reply.error()));
  info_ = std::move(reply->message);
  asked_ = delivered_ = info_.first.value_or(0);
  const auto length = info_.length.value_or(info_.size);
  if (length > info_.size || asked_ > info_.size - length) {
    return fail(Errc::invalid, "the node's answer names bytes beyond the object's end");
  }
  end_ = asked_ + length;
  if (info_.download) {
    chunk_bytes_ = std::clamp(info_.chunk_bytes.value_or(0), 1U, chunk_bytes_max);
    return info_;
  }
  if (reply->payload.size() != length) {
    return fail(Errc::corrupt, "the node sent " + std::to_string(reply->payload.size()) + " of " +
                                   std::to_string(length) + " bytes");
  }
  if (auto given = give(reply->payload); !given) return fail(std::move(given.error()));
  return info_;
}

Status ClientDownload::pull() {
  while (delivered_ < end_) {
    auto taken = ask_ahead();
    if (taken) taken = take_answer();
    if (!taken) taken = go_on_after(std::move(taken.error()));
    if (!taken) return taken;
    if (auto delivered = deliver(); !delivered) return delivered;
  }
  return {};
}

Status ClientDownload::ask_ahead() {
  while (window_.size() < window_parts && asked_ < end_) {
    const auto boundary = (asked_ / chunk_bytes_ + 1) * chunk_bytes_;
    const auto length = static_cast<std::uint32_t>(std::min(boundary, end_) - asked_);
    const auto id = channel_.send(
        client::GetData{.download = *info_.download, .offset = asked_, .length = length});
    if (!id) return fail(id.error());
    window_.push_back({.id = *id, .length = length, .arrived = false});
    asked_ += length;
  }
  return {};
}

/// Waits for one part of the window, whichever comes first.
Status ClientDownload::take_answer() {
  for (;;) {
    auto answer = channel_.receive();
    if (!answer) return fail(std::move(answer.error()));
    const auto part = std::find_if(window_.begin(), window_.end(),
                                   [&](const Part& one) { return one.id == answer->id; });
    if (part == window_.end()) continue;
    auto data = expect_reply<client::GetData::Reply>(std::move(answer->reply));
    if (!data) return fail(std::move(data.error()));
    if (answer->payload.size() != part->length) {
      return fail(Errc::corrupt, "the node sent " + std::to_string(answer->payload.size()) +
                                     " bytes where " + std::to_string(part->length) +
                                     " were asked for");
    }
    part->payload = std::move(answer->payload);
    part->arrived = true;
    return {};
  }
}

Status ClientDownload::deliver() {
  while (!window_.empty() && window_.front().arrived) {
    if (auto given = give(window_.front().payload); !given) return given;
    window_.pop_front();
  }
  return {};
}

Status ClientDownload::give(const zmq::message_t& payload) {
  delivered_ += payload.size();
  if (payload.size() == 0) return {};
  return sink_(view_of(payload));
}

/// A node drops downloads that nobody reads for long, as happens when a pager or a slow pipe takes
/// the bytes, and those of a connection that was lost. The former are opened again once for each
/// step forward.
Status ClientDownload::go_on_after(Error error) {
  while (channel_.lost() && channel_.is_remote()) {
    if (!reconnection_.at(delivered_)) return fail(std::move(error));
    if (auto opened = open_again(); opened || !channel_.lost()) return opened;
  }
  if (error.code != Errc::not_found || opened_at_ == delivered_) return fail(std::move(error));
  opened_at_ = delivered_;
  return open_again();
}

/// From where it was, if it is the same version.
Status ClientDownload::open_again() {
  const Error dropped{Errc::not_found,
                      "the node let go of the download, and the object is not the same any more"};
  window_.clear();
  const auto before = info_;
  const auto end = end_;
  std::visit(
      [this](auto& request) {
        request.first = delivered_;
        request.last = end_ - 1;
      },
      request_);
  auto reply = ask();
  if (!reply) return fail(std::move(reply.error()));
  // Two gateways may have given two versions one stamp: a blob is of one of them.
  const auto& now = reply->message;
  if (now.version != before.version || now.blob_id != before.blob_id) return fail(dropped);
  info_ = std::move(reply->message);
  asked_ = delivered_;
  if (info_.download) return {};
  if (reply->payload.size() != end - delivered_) return fail(dropped);
  return give(reply->payload);
}

/// Nobody waits for the answer: a node that misses this lets go when the client does.
void ClientDownload::close() {
  if (!info_.download) return;
  static_cast<void>(channel_.send(client::GetEnd{.download = *info_.download}));
}

}  // namespace zerodb
