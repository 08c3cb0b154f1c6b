#pragma once
// Messages to msgpack headers and back. Decoding is for hostile bytes: it never throws, never
// allocates by an unchecked length, and names what is wrong. Thread-safe: pure functions.

#include "bus/broadcast_message.hpp"
#include "bus/client_message.hpp"
#include "bus/peer_message.hpp"

namespace zerodb::codec {

inline constexpr std::uint32_t protocol_version = 1;
inline constexpr std::size_t header_bytes_max = 1 << 20;  ///< a large roster is the largest
/// Elements, keys and values, in all: each costs more to read than its byte to receive.
inline constexpr std::size_t header_items_max = 1 << 13;
inline constexpr std::size_t client_reply_items_max = 1 << 17;  ///< a page of a listing

template <class Message>
struct Decoded {
  std::uint64_t id = 0;  ///< chosen by the requester, repeated in the reply
  Message message;
};

/// A decoding failure still says which request it was, when that much could be read.
struct DecodeError {
  Error error;
  std::uint64_t id = 0;
};
template <class Message>
using DecodeResult = tl::expected<Decoded<Message>, DecodeError>;

Bytes encode(std::uint64_t id, const peer::Request& request);
Bytes encode(std::uint64_t id, const peer::Reply& reply);
Bytes encode(std::uint64_t id, const client::Request& request);
Bytes encode(std::uint64_t id, const client::Reply& reply);
Bytes encode(std::uint64_t id, const Error& error);  ///< the reply to a request that failed

/// What a header costs to read, told before: up to header_items_max, and one for more than that.
std::size_t count_items(ByteView header);

DecodeResult<peer::Request> decode_peer_request(ByteView header);
DecodeResult<client::Request> decode_client_request(ByteView header);

/// The inner Result holds the error the other side answered with.
DecodeResult<Result<peer::Reply>> decode_peer_reply(ByteView header);
DecodeResult<Result<client::Reply>> decode_client_reply(ByteView header);

/// A broadcast's header names its sender and when it was sent; the signature over it is a frame
/// of its own (broadcast.hpp).
struct BroadcastHeader {
  NodeId from;
  std::uint64_t time_ms = 0;   ///< the sender's clock, UTC
  std::uint64_t sequence = 0;  ///< grows by one a broadcast, from the start's microseconds on
};
Bytes encode(const BroadcastHeader& header, const broadcast::Message& message);
Result<std::pair<BroadcastHeader, broadcast::Message>> decode_broadcast(ByteView header);

/// An event, as it is published to clients.
Bytes encode(const client::Published& event);
Result<client::Published> decode_published(ByteView header);

}  // namespace zerodb::codec
