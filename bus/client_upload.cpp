#include "bus/client_upload.hpp"

#include <algorithm>
#include <cstdlib>

#include "store/cipher.hpp"

namespace zerodb {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds silent_max{10};

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
    if (auto kept = keep_alive_if_silent(); !kept) return fail(std::move(kept.error()));
  }
  read_ += filled;
  if (request_.size && filled < to.size()) {
    return fail(Errc::invalid, "the source ended after " + std::to_string(read_) + " of " +
                                   std::to_string(*request_.size) +
                                   " bytes: it changed while it was read");
  }
  return filled;
}

/// The put itself, which is answered by `stored` if it is whole, else by `upload`.
template <class Reply>
Result<Reply> ClientUpload::put(zmq::message_t payload) {
  const auto id = channel_.send(request_, std::move(payload));
  if (!id) return fail(id.error());
  auto answer = channel_.receive_for(*id);
  if (!answer) return fail(std::move(answer.error()));
  return expect_reply<Reply>(std::move(answer->reply));
}

Result<client::Stored> ClientUpload::put_small(zmq::message_t payload) {
  request_.size = payload.size();
  return put<client::Stored>(std::move(payload));
}

Result<client::Stored> ClientUpload::put_large() {
  if (channel_.is_remote()) request_.resumable = true;
  if (auto opened = open(); !opened) return fail(std::move(opened.error()));
  if (auto all = send_all(); !all) {
    abort();
    return fail(std::move(all.error()));
  }
  return end();
}

Status ClientUpload::open() {
  auto upload = put<client::Upload>({});
  if (!upload) return fail(std::move(upload.error()));
  if (upload->chunk_bytes == 0 || upload->chunk_bytes > chunk_bytes_max) {
    return fail(Errc::invalid,
                "the node asks for chunks of " + std::to_string(upload->chunk_bytes) + " bytes");
  }
  upload_ = std::move(*upload);
  opened_ = true;
  return {};
}

Status ClientUpload::send_all() {
  for (bool more = true; more;) {
    const auto read = read_chunk();
    if (!read) return fail(read.error());
    more = *read;
    if (auto sent = flush(); !sent) return sent;
  }
  return drain();
}

/// False after the last.
Result<bool> ClientUpload::read_chunk() {
  ChunkBuffer buffer(upload_.chunk_bytes);
  if (!buffer.allocated()) return fail(Errc::full, "no memory for a chunk");
  const auto size = fill(buffer.span());
  if (!size) return fail(size.error());
  if (*size == 0) return false;
  add(buffer.into_message(*size));
  return *size == upload_.chunk_bytes;
}

void ClientUpload::add(zmq::message_t payload) {
  const auto size = payload.size();
  pieces_.push_back({.offset = taken_, .size = size, .payload = std::move(payload)});
  taken_ += size;
}

/// Sends what was not sent yet, with no more unanswered than the node gave credit for.
Status ClientUpload::flush() {
  for (;;) {
    std::uint64_t unanswered_bytes = 0;
    auto next = pieces_.begin();
    for (; next != pieces_.end() && next->request != 0; ++next)
      unanswered_bytes += next->size;
    if (next == pieces_.end()) return {};
    const bool room = next == pieces_.begin() || unanswered_bytes + next->size <= upload_.credit;
    auto done = room ? send(*next) : take_answer();
    if (!done) done = go_on_after(done.error());
    if (!done) return done;
  }
}

Status ClientUpload::send(Piece& piece) {
  zmq::message_t payload;
  if (upload_.resume) payload.copy(piece.payload);  // which shares its bytes
  if (!upload_.resume) payload = std::move(piece.payload);
  const auto id = channel_.send(client::PutData{.upload = upload_.upload, .offset = piece.offset},
                                std::move(payload));
  if (!id) return fail(id.error());
  piece.request = *id;
  spoke_at_ = Clock::now();
  return {};
}

/// Until all is answered.
Status ClientUpload::drain() {
  while (!pieces_.empty()) {
    auto done = flush();
    if (done) done = take_answer();
    if (!done) done = go_on_after(done.error());
    if (!done) return done;
  }
  return {};
}

/// For a source that gives something at any time, and little.
Status ClientUpload::keep_alive_if_silent() {
  return Clock::now() - spoke_at_ < silent_max ? Status() : keep_alive();
}

/// An empty put_data says that more will come.
Status ClientUpload::keep_alive() {
  if (!opened_) return {};
  add({});
  return drain();
}

/// Waits for one reply of those under way.
Status ClientUpload::take_answer() {
  for (;;) {
    auto answer = channel_.receive();
    if (!answer) return fail(std::move(answer.error()));
    const auto piece = std::ranges::find(pieces_, answer->id, &Piece::request);
    if (piece == pieces_.end()) continue;
    pieces_.erase(piece);
    auto upload = expect_reply<client::Upload>(std::move(answer->reply));
    if (!upload) return fail(std::move(upload.error()));
    upload_.credit = upload->credit;
    return {};
  }
}

/// The connection may have been lost while the object was being committed: then it is not known
/// here what became of that.
Result<client::Stored> ClientUpload::end() {
  for (;;) {
    auto stored = channel_.call(client::PutEnd{.upload = upload_.upload, .size = taken_});
    if (stored) return std::move(stored->message);
    const bool lost = channel_.lost();
    if (auto back = go_on_after(stored.error()); !back) {
      if (lost) back.error().what += "; see by 'stat' whether it was stored";
      return fail(std::move(back.error()));
    }
    if (auto all = drain(); !all) return fail(std::move(all.error()));
  }
}

/// Goes on over another connection, if it was the connection that failed: with what the node had
/// not got when the last one was lost. The error, if that cannot be.
Status ClientUpload::go_on_after(const Error& error) {
  if (!channel_.lost() || !upload_.resume) return fail(Error(error));
  auto resumed = resume();
  if (!resumed && channel_.lost()) return fail(Error(error));
  if (!resumed) return fail(error.code, "the connection was lost: " + resumed.error().what);
  upload_ = std::move(*resumed);
  const auto has = upload_.offset.value_or(0);
  while (!pieces_.empty() && pieces_.front().offset + pieces_.front().size <= has)
    pieces_.pop_front();
  const auto goes_on_at = pieces_.empty() ? taken_ : pieces_.front().offset;
  if (has != goes_on_at) {
    return fail(Errc::corrupt, "the node has " + std::to_string(has) + " bytes of it, not the " +
                                   std::to_string(goes_on_at) + " that it had answered for");
  }
  for (auto& piece : pieces_)
    piece.request = 0;
  return {};
}

Result<client::Upload> ClientUpload::resume() {
  for (;;) {
    auto there = reconnection_.at(pieces_.empty() ? taken_ : pieces_.front().offset);
    if (!there) return fail(std::move(there.error()));
    auto resumed = channel_.call(client::PutResume{.resume = *upload_.resume});
    if (resumed) return std::move(resumed->message);
    if (!channel_.lost()) return fail(std::move(resumed.error()));
  }
}

/// Nobody waits for the answer: a node that misses this drops the upload when the client goes.
void ClientUpload::abort() {
  static_cast<void>(channel_.send(client::PutAbort{.upload = upload_.upload}));
}

}  // namespace zerodb
