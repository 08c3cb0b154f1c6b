#pragma once
// Answers as the bus has them, made into what the library shows. Inside of client/; pure functions.

#include "bus/client_message.hpp"
#include "zerodb/event.hpp"
#include "zerodb/object.hpp"

namespace zerodb::library {

inline Stored shown(client::Stored stored) {
  return {.version = stored.version,
          .size = stored.size,
          .copies = stored.copies,
          .wanted = stored.wanted,
          .missing = std::move(stored.missing)};
}

inline ObjectInfo shown(client::ObjectInfo info) {
  return {.key = std::move(info.key),
          .size = info.size,
          .version = info.version,
          .media_type = std::move(info.media_type),
          .mtime_ms = info.mtime_ms,
          .attributes = std::move(info.attributes)};
}

inline ListPage shown(client::List::Reply reply) {
  ListPage page{.more = reply.more};
  page.entries.reserve(reply.entries.size());
  for (auto& entry : reply.entries) {
    page.entries.push_back({.key = std::move(entry.key),
                            .size = entry.size,
                            .version = entry.version,
                            .mtime_ms = entry.mtime_ms});
  }
  return page;
}

inline Event shown(client::Event event) {
  return {.sequence = event.sequence,
          .kind = event.kind == "delete" ? Event::Kind::removed : Event::Kind::stored,
          .key = std::move(event.key),
          .version = event.version,
          .size = event.size,
          .mtime_ms = event.mtime_ms,
          .time_ms = event.time_ms};
}

inline Bytes shown(Bytes content) {
  return content;
}

/// The same of an answer that may be an error.
template <class Message>
auto shown(Result<Message> answer) -> Result<decltype(shown(std::move(*answer)))> {
  if (!answer) return fail(std::move(answer.error()));
  return shown(std::move(*answer));
}

}  // namespace zerodb::library
