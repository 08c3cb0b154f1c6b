#include "bus/broadcast.hpp"

#include "bus/codec.hpp"

namespace zerodb {
namespace {

constexpr std::string_view signature_domain = "zerodb broadcast v1";
constexpr std::string_view all_partitions_topic = "p/";

Bytes signed_bytes(ByteView header) {
  auto bytes = to_bytes(as_bytes(signature_domain));
  bytes.insert(bytes.end(), header.begin(), header.end());
  return bytes;
}

}  // namespace

std::string partition_topic(Partition partition) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string topic(all_partitions_topic);
  for (const int shift : {8, 4, 0})
    topic += digits[(partition >> shift) & 0xf];
  return topic + "/";
}

std::string owner_topic(const OwnerId& owner) {
  return "o/" + owner.hex() + "/";
}

std::string get_topic() {
  return "g/";
}

std::set<std::string> topics_of(const std::set<Partition>& partitions,
                                const std::set<OwnerId>& owners) {
  std::set<std::string> topics{get_topic()};
  if (partitions.size() == partition_count) {
    topics.emplace(all_partitions_topic);
    return topics;
  }
  for (const auto& owner : owners)
    topics.insert(owner_topic(owner));
  for (const auto partition : partitions)
    topics.insert(partition_topic(partition));
  return topics;
}

BroadcastSealer::BroadcastSealer(const NodeId& from, const SigningKey& key, std::uint64_t now_us)
    : from_(from), key_(key.seed()), sequence_(now_us) {}

std::vector<std::vector<Payload>> BroadcastSealer::seal(const ObjectId& about,
                                                        const broadcast::Message& message,
                                                        std::uint64_t now_ms) {
  const codec::BroadcastHeader fields{.from = from_, .time_ms = now_ms, .sequence = ++sequence_};
  const auto header = Payload::take(codec::encode(fields, message));
  const auto signature = Payload::copy_of(key_.sign(signed_bytes(header.view())).view());

  std::vector<std::string> topics{get_topic()};
  if (!std::holds_alternative<broadcast::Get>(message)) {
    topics = {partition_topic(partition_of(about.hashed_key)), owner_topic(about.owner)};
  }
  std::vector<std::vector<Payload>> messages;
  for (const auto& topic : topics) {
    messages.push_back({Payload::copy_of(as_bytes(topic)), header, signature});
  }
  return messages;
}

Result<std::optional<broadcast::Message>> BroadcastOpener::open(const std::vector<Payload>& frames,
                                                                const IsNews& is_news) {
  if (frames.size() != 3) return fail(Errc::invalid, "not three frames");
  const auto header = frames[1].view();
  if (frames[0].size() > topic_bytes_max || header.size() > broadcast_bytes_max) {
    return fail(Errc::invalid, "too large");
  }
  const auto signature = Signature::from(frames[2].view());
  if (!signature) return fail(signature.error());
  auto decoded = codec::decode_broadcast(header);
  if (!decoded) return fail(std::move(decoded.error()));
  auto& [fields, message] = *decoded;
  if (fields.from != from_) return fail(Errc::denied, "in another node's name");
  if (fields.sequence <= last_sequence_) return std::optional<broadcast::Message>();
  if (!is_news(message)) return std::optional<broadcast::Message>();
  if (!verify(key_.view(), signed_bytes(header), *signature)) {
    return fail(Errc::corrupt, "wrong signature");
  }
  last_sequence_ = fields.sequence;
  return std::optional(std::move(message));
}

}  // namespace zerodb
