#include "bus/client_upload.hpp"

#include <chrono>
#include <cstdlib>
#include <thread>

#include "store/cipher.hpp"

namespace zerodb {

namespace {

/// Runs on an I/O thread of libzmq when the chunk was sent or dropped.
void release_chunk(void* data, void*) {
  std::free(data);
}

/// Memory that a source fills and a message takes over, however much of it was filled.
class ChunkBuffer {
 public:
  explicit ChunkBuffer(std::size_t capacity)
      : bytes_(static_cast<std::uint8_t*>(std::malloc(capacity)), &std::free),
        capacity_(capacity) {}

  bool allocated() const { return bytes_ != nullptr; }
  MutableBytes span() { return {bytes_.get(), capacity_}; }
  zmq::message_t into_message(std::size_t size) {
    zmq::message_t message(bytes_.get(), size, release_chunk);
    static_cast<void>(bytes_.release());
    return message;
  }

 private:
  std::unique_ptr<std::uint8_t, decltype(&std::free)> bytes_;
  std::size_t capacity_;
};

}  // namespace

Result<client::Stored> ClientUpload::run() {
  const auto size = request_.size;
  if (size && *size > inline_bytes_max) return put_large();
  head_.resize(size ? *size : inline_bytes_max + 1);
  const auto got = fill(head_);
  if (!got) return fail(got.error());
  head_.resize(*got);
  if (head_.size() <= inline_bytes_max) {
    return put_small(zmq::message_t(head_.data(), head_.size()));
  }
  read_ = 0;
  return put_large();
}

/// How much of `bytes` the source may still be asked for.
std::size_t ClientUpload::room(std::size_t bytes) const {
  if (!request_.size) return bytes;
  return static_cast<std::size_t>(std::min<std::uint64_t>(bytes, *request_.size - read_));
}

/// What was read ahead comes first.
Result<std::size_t> ClientUpload::read_source(MutableBytes to) {
  if (head_used_ == head_.size() || !opened_) return source_(to);
  const auto count = std::min(to.size(), head_.size() - head_used_);
  std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(head_used_), count, to.begin());
  head_used_ += count;
  return count;
}

/// Reads until `to` is full or the source ends. A source that has nothing yet is asked again.
Result<std::size_t> ClientUpload::fill(MutableBytes to) {
  to = to.first(room(to.size()));
  std::size_t filled = 0;
  while (filled < to.size()) {
    const auto got = read_source(to.subspan(filled));
    if (!got && got.error().code == Errc::busy) {
      if (auto kept = keep_alive(); !kept) return fail(std::move(kept.error()));
      continue;
    }
    if (!got) return got;
    if (*got == 0) break;
    filled += *got;
  }
  read_ += filled;
  if (request_.size && filled < to.size()) {
    return fail(Errc::invalid, "the source ended after " + std::to_string(read_) + " of " +
                                   std::to_string(*request_.size) +
                                   " bytes: it changed while it was read");
  }
  return filled;
}

Result<client::Stored> ClientUpload::put_small(zmq::message_t payload) {
  request_.size = payload.size();
  const auto id = channel_.send(request_, std::move(payload));
  if (!id) return fail(id.error());
  for (;;) {
    auto answer = channel_.receive();
    if (!answer) return fail(std::move(answer.error()));
    if (answer->id == *id) return ClientChannel::expect<client::Stored>(std::move(answer->reply));
  }
}

Result<client::Stored> ClientUpload::put_large() {
  if (auto opened = open(); !opened) return fail(std::move(opened.error()));
  if (auto all = send_chunks(); !all) {
    abort();
    return fail(std::move(all.error()));
  }
  auto stored = channel_.call(client::PutEnd{.upload = upload_.upload, .size = sent_});
  if (!stored) return fail(std::move(stored.error()));
  return std::move(stored->message);
}

Status ClientUpload::open() {
  const auto id = channel_.send(request_);
  if (!id) return fail(id.error());
  unanswered_.emplace(*id, 0);
  while (!unanswered_.empty()) {
    if (auto taken = take_answer(); !taken) return taken;
  }
  if (upload_.chunk_bytes == 0 || upload_.chunk_bytes > chunk_bytes_max) {
    return fail(Errc::invalid,
                "the node asks for chunks of " + std::to_string(upload_.chunk_bytes) + " bytes");
  }
  opened_ = true;
  return {};
}

Status ClientUpload::send_chunks() {
  for (;;) {
    const auto more = send_chunk();
    if (!more) return fail(more.error());
    if (!*more) break;
  }
  while (!unanswered_.empty()) {
    if (auto taken = take_answer(); !taken) return taken;
  }
  return {};
}

/// Reads and sends the next chunk; false after the last.
Result<bool> ClientUpload::send_chunk() {
  ChunkBuffer buffer(upload_.chunk_bytes);
  if (!buffer.allocated()) return fail(Errc::full, "no memory for a chunk");
  const auto size = fill(buffer.span());
  if (!size) return fail(size.error());
  if (*size == 0) return false;
  while (!unanswered_.empty() && unanswered_bytes_ + *size > upload_.credit) {
    if (auto taken = take_answer(); !taken) return fail(std::move(taken.error()));
  }
  if (auto sent = send_data(buffer.into_message(*size)); !sent)
    return fail(std::move(sent.error()));
  return *size == upload_.chunk_bytes;
}

Status ClientUpload::send_data(zmq::message_t payload) {
  const auto size = payload.size();
  const auto id =
      channel_.send(client::PutData{.upload = upload_.upload, .offset = sent_}, std::move(payload));
  if (!id) return fail(id.error());
  unanswered_.emplace(*id, size);
  unanswered_bytes_ += size;
  sent_ += size;
  return {};
}

/// An empty put_data says that more will come.
Status ClientUpload::keep_alive() {
  if (!opened_) return {};
  if (auto sent = send_data({}); !sent) return sent;
  return take_answer();
}

/// Waits for one reply of those under way.
Status ClientUpload::take_answer() {
  for (;;) {
    auto answer = channel_.receive();
    if (!answer) return fail(std::move(answer.error()));
    const auto found = unanswered_.find(answer->id);
    if (found == unanswered_.end()) continue;
    auto upload = ClientChannel::expect<client::Upload>(std::move(answer->reply));
    unanswered_bytes_ -= found->second;
    unanswered_.erase(found);
    if (!upload) return fail(std::move(upload.error()));
    upload_ = *upload;
    return {};
  }
}

/// Nobody waits for the answer: a node that misses this drops the upload when the client goes.
void ClientUpload::abort() {
  static_cast<void>(channel_.send(client::PutAbort{.upload = upload_.upload}));
}

}  // namespace zerodb
