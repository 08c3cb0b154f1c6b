#pragma once
// Structs as msgpack maps. A struct lists its fields once, in a static function
//
//   template <class Self, class Visitor>
//   static void visit(Self& self, Visitor& field) { field("size", self.size); ... }
//
// and that list serves encoding and decoding. Decoding is for untrusted bytes: depth, sizes and
// counts are limited, trailing bytes are refused, unknown fields are ignored, and a missing field
// is an error unless its type is std::optional. Absent optionals are not written.
// Private to .cpp files: msgpack shows in no interface. Thread-safe: pure functions.

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <msgpack.hpp>

#include "store/ids.hpp"

namespace zerodb::fields {

// ------------------------------------------------------------------------------------ encoding

class Sink {
 public:
  explicit Sink(Bytes& out) : out_(out) {}
  void write(const char* data, std::size_t size) { out_.insert(out_.end(), data, data + size); }

 private:
  Bytes& out_;
};

using Packer = msgpack::packer<Sink>;

inline void pack_value(Packer& packer, bool value) {
  packer.pack(value);
}
inline void pack_value(Packer& packer, const std::string& value) {
  packer.pack(value);
}
inline void pack_value(Packer& packer, const std::map<std::string, std::string>& value) {
  packer.pack(value);
}
inline void pack_value(Packer& packer, ByteView value) {
  packer.pack_bin(static_cast<std::uint32_t>(value.size()));
  packer.pack_bin_body(reinterpret_cast<const char*>(value.data()),
                       static_cast<std::uint32_t>(value.size()));
}
inline void pack_value(Packer& packer, const Bytes& value) {
  pack_value(packer, ByteView(value));
}
template <std::integral T>
void pack_value(Packer& packer, T value) {
  packer.pack(value);
}
template <class Tag, std::size_t Size>
void pack_value(Packer& packer, const Id<Tag, Size>& value) {
  pack_value(packer, value.view());
}
template <class T>
requires std::is_class_v<T>
void pack_value(Packer& packer, const T& value);  // a visitable struct

template <class T>
void pack_value(Packer& packer, const std::vector<T>& values) {
  packer.pack_array(static_cast<std::uint32_t>(values.size()));
  for (const auto& value : values)
    pack_value(packer, value);
}

struct FieldCounter {
  std::uint32_t count = 0;
  template <class T>
  void operator()(const char*, const T&) {
    ++count;
  }
  template <class T>
  void operator()(const char*, const std::optional<T>& value) {
    count += value.has_value() ? 1 : 0;
  }
};

struct FieldPacker {
  Packer& packer;
  template <class T>
  void operator()(const char* name, const T& value) {
    packer.pack(name);
    pack_value(packer, value);
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& value) {
    if (value) (*this)(name, *value);
  }
};

template <class T>
std::uint32_t count_fields(const T& value) {
  FieldCounter counter;
  T::visit(value, counter);
  return counter.count;
}

/// The fields alone, inside a map whose size the caller wrote.
template <class T>
void pack_fields(Packer& packer, const T& value) {
  FieldPacker visitor{packer};
  T::visit(value, visitor);
}

template <class T>
requires std::is_class_v<T>
void pack_value(Packer& packer, const T& value) {
  packer.pack_map(count_fields(value));
  pack_fields(packer, value);
}

template <class T>
Bytes encode(const T& value) {
  Bytes out;
  Sink sink(out);
  Packer packer(sink);
  pack_value(packer, value);
  return out;
}

// ------------------------------------------------------------------------------------ decoding

struct Limits {
  std::size_t bytes = 1 << 20;
  std::size_t array = 65536;
  std::size_t map = 256;
  std::size_t string = 65536;
  std::size_t binary = 1 << 20;
  std::size_t depth = 8;
  std::size_t items = SIZE_MAX;  ///< in all: elements of arrays, keys and values of maps
};

/// Those of one msgpack value: elements of arrays, keys and values of maps. Counts no further than
/// one beyond `most`, and as far as the bytes are msgpack.
std::size_t count_items(ByteView bytes, std::size_t most);

/// One msgpack value that keeps its memory. `invalid` on anything but exactly one value, and on
/// more items than allowed before any is made: each costs 24 bytes, and may be one byte long.
Result<msgpack::object_handle> parse(ByteView bytes, const Limits& limits);

using Object = msgpack::object;

// Each read() answers false if the value is of another type or out of range.
inline bool read(const Object& from, bool& to) {
  if (from.type != msgpack::type::BOOLEAN) return false;
  to = from.via.boolean;
  return true;
}
template <std::unsigned_integral T>
bool read(const Object& from, T& to) {
  if (from.type != msgpack::type::POSITIVE_INTEGER) return false;
  if (from.via.u64 > std::numeric_limits<T>::max()) return false;
  to = static_cast<T>(from.via.u64);
  return true;
}
inline bool read(const Object& from, std::int64_t& to) {
  if (from.type == msgpack::type::NEGATIVE_INTEGER) {
    to = from.via.i64;
    return true;
  }
  std::uint64_t positive = 0;
  if (!read(from, positive) || positive > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    return false;
  to = static_cast<std::int64_t>(positive);
  return true;
}
inline bool read(const Object& from, std::string& to) {
  if (from.type != msgpack::type::STR) return false;
  to.assign(from.via.str.ptr, from.via.str.size);
  return is_utf8(to);
}
inline bool read_view(const Object& from, ByteView& to) {
  if (from.type != msgpack::type::BIN) return false;
  to = as_bytes({from.via.bin.ptr, from.via.bin.size});
  return true;
}
inline bool read(const Object& from, Bytes& to) {
  ByteView view;
  if (!read_view(from, view)) return false;
  to = to_bytes(view);
  return true;
}
template <class Tag, std::size_t Size>
bool read(const Object& from, Id<Tag, Size>& to) {
  ByteView view;
  if (!read_view(from, view) || view.size() != Size) return false;
  std::copy(view.begin(), view.end(), to.mutable_view().begin());
  return true;
}
inline bool read(const Object& from, std::map<std::string, std::string>& to) {
  if (from.type != msgpack::type::MAP) return false;
  for (std::uint32_t i = 0; i < from.via.map.size; ++i) {
    std::string key;
    std::string value;
    if (!read(from.via.map.ptr[i].key, key) || !read(from.via.map.ptr[i].val, value)) return false;
    if (!to.emplace(std::move(key), std::move(value)).second) return false;
  }
  return true;
}
template <class T>
requires std::is_class_v<T>
bool read(const Object& from, T& to);  // a visitable struct

template <class T>
bool read(const Object& from, std::vector<T>& to) {
  if (from.type != msgpack::type::ARRAY) return false;
  for (std::uint32_t i = 0; i < from.via.array.size; ++i) {
    if (!read(from.via.array.ptr[i], to.emplace_back())) return false;
  }
  return true;
}

/// The value of field `name` of a map, or nothing.
const Object* find(const Object& map, std::string_view name);

struct FieldReader {
  const Object& map;
  std::string problem;  ///< the first field that was missing or wrong

  template <class T>
  void operator()(const char* name, T& value) {
    if (!problem.empty()) return;
    const Object* found = find(map, name);
    if (found == nullptr) {
      problem = std::string("field '") + name + "' is missing";
    } else if (!read(*found, value)) {
      problem = std::string("field '") + name + "' has the wrong type or range";
    }
  }
  template <class T>
  void operator()(const char* name, std::optional<T>& value) {
    if (!problem.empty() || find(map, name) == nullptr) return;
    (*this)(name, value.emplace());
  }
};

/// Reads the fields of `value` from a map; `invalid`, naming the field, if one is missing or wrong.
template <class T>
Status read_fields(const Object& from, T& value) {
  if (from.type != msgpack::type::MAP) return fail(Errc::invalid, "not a map");
  FieldReader visitor{from, {}};
  T::visit(value, visitor);
  if (!visitor.problem.empty()) return fail(Errc::invalid, std::move(visitor.problem));
  return {};
}

template <class T>
requires std::is_class_v<T>
bool read(const Object& from, T& to) {
  return read_fields(from, to).has_value();
}

template <class T>
Result<T> decode(ByteView bytes, const Limits& limits = {}) {
  auto parsed = parse(bytes, limits);
  if (!parsed) return fail(std::move(parsed.error()));
  T value;
  if (auto read = read_fields(parsed->get(), value); !read) return fail(std::move(read.error()));
  return value;
}

}  // namespace zerodb::fields
