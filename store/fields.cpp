#include "store/fields.hpp"

#include <new>

namespace zerodb::fields {

namespace {

/// Adds up what arrays and maps say they hold, and stops when that is too much.
class ItemCounter : public msgpack::null_visitor {
 public:
  explicit ItemCounter(std::size_t most) : most_(most) {}
  bool start_array(std::uint32_t elements) { return add(elements); }
  bool start_map(std::uint32_t pairs) { return add(std::size_t{2} * pairs); }
  std::size_t count() const { return count_; }

 private:
  bool add(std::size_t items) {
    const bool fits = items <= most_ - count_;
    count_ = fits ? count_ + items : most_ + 1;
    return fits;
  }

  std::size_t most_;
  std::size_t count_ = 0;
};

/// Whatever else is wrong with the bytes.
bool holds_more_than(std::size_t items, ByteView bytes) {
  if (bytes.size() <= items) return false;  // each is a byte at least
  return count_items(bytes, items) > items;
}

}  // namespace

std::size_t count_items(ByteView bytes, std::size_t most) {
  ItemCounter counter(most);
  try {
    std::size_t offset = 0;
    msgpack::parse(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, counter);
  } catch (const msgpack::unpack_error&) {
    // Whoever reads the bytes is told so.
  }
  return counter.count();
}

Result<msgpack::object_handle> parse(ByteView bytes, const Limits& limits) {
  if (bytes.size() > limits.bytes) {
    return fail(Errc::invalid, "msgpack: " + std::to_string(bytes.size()) + " bytes, at most " +
                                   std::to_string(limits.bytes) + " allowed");
  }
  try {
    if (holds_more_than(limits.items, bytes)) {
      return fail(Errc::invalid, "msgpack: more than " + std::to_string(limits.items) + " items");
    }
    std::size_t offset = 0;
    const msgpack::unpack_limit unpack_limit(limits.array, limits.map, limits.string, limits.binary,
                                             0, limits.depth);
    auto handle = msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset,
                                  nullptr, nullptr, unpack_limit);
    if (offset != bytes.size()) return fail(Errc::invalid, "msgpack: trailing bytes");
    return handle;
  } catch (const msgpack::unpack_error& error) {
    return fail(Errc::invalid, std::string("msgpack: ") + error.what());
  } catch (const msgpack::type_error&) {
    return fail(Errc::invalid, "msgpack: wrong type");
  } catch (const std::bad_alloc&) {
    return fail(Errc::invalid, "msgpack: a length larger than memory");
  }
}

const Object* find(const Object& map, std::string_view name) {
  for (std::uint32_t i = 0; i < map.via.map.size; ++i) {
    const auto& [key, value] = map.via.map.ptr[i];
    if (key.type == msgpack::type::STR &&
        name == std::string_view(key.via.str.ptr, key.via.str.size))
      return &value;
  }
  return nullptr;
}

}  // namespace zerodb::fields
