#include "store/blob_format.hpp"

#include <catch2/catch.hpp>

#include "store/index_key.hpp"

using namespace zerodb;

namespace {

template <class AnyId>
AnyId filled(std::uint8_t byte) {
  AnyId id;
  std::ranges::fill(id.mutable_view(), byte);
  return id;
}

/// The manifest of the worked example in FORMAT.md.
SignedManifest two_chunks() {
  const OwnerKeys owner(*Seed::from(Bytes(32, 0x11)));
  Manifest manifest;
  manifest.object = {.owner = owner.id(), .hashed_key = owner.hash_name("notes/a.txt")};
  manifest.version = Version::at(1'795'429'230'123, 4);
  manifest.blob_id = filled<BlobId>(0x22);
  manifest.size = 1'500'000;
  manifest.chunk_count = 2;
  manifest.root = filled<Root>(0x33);
  return SignedManifest::sign(manifest, owner);
}

const std::string owner_hex = "73e4fb4e49f587142173b538f27cb742882aa69c996000a8006b59ae1eda4c64";
const std::string key_hex = "2cc440671aa1709b68c5cc446bde38e602ac725ee20230ddc2effb8b7d59891c";
const std::string blob_hex = "22222222222222222222222222222222";

}  // namespace

TEST_CASE("blob format: the bytes are those of FORMAT.md's example", "[store]") {
  const auto manifest = two_chunks();
  const auto header = blob_format::encode_header({.binding = manifest->binding()});
  CHECK(to_hex(header) == "7a64622d626c6f620000000100100000" + owner_hex + key_hex + blob_hex +
                              std::string(32, '0') + "601c64fe92774a9c5d539b68fbfbeb00");
  CHECK(blob_format::chunk_offset(1, chunk_bytes_max) == 1'048'720);
  const auto leaf = filled<Leaf>(0x44);
  const auto trailer = blob_format::encode_trailer(manifest, {leaf, leaf});
  CHECK(blob_format::leaves_offset(manifest.manifest()) == 1'500'160);
  CHECK(trailer.size() == 64 + 362 + 64);
  CHECK(to_hex(ByteView(trailer).first(32)) == leaf.hex());
  CHECK(to_hex(ByteView(trailer).subspan(64, 362)) == to_hex(manifest.wire()));
  CHECK(to_hex(ByteView(trailer).last(64)) ==
        "0000000000000002000000000016e400000000000016e4400000016a00000000"
        "6a5247be9cbec004a49a8df125053bd56bd240f51f1f11e97a64622d666f6f74");
}

TEST_CASE("index: key and value are those of FORMAT.md's example", "[store]") {
  const auto manifest = two_chunks();
  CHECK(to_hex(as_bytes(index_key::of_entry(counted(manifest).entry))) ==
        "02cc" + owner_hex + key_hex +
            "fe5df81419d4fffb"
            "bf72178894f96c48dd37dc677b0ec97a8467d87384bf84aaefa431ff40ef1d33");
  CHECK(to_hex(as_bytes(index_key::encode_value(manifest))) ==
        "0100" + blob_hex + "000000000016e380" + to_hex(manifest.wire()));
}

TEST_CASE("blob format: a header reads back, a changed one does not", "[store]") {
  const auto manifest = two_chunks();
  auto bytes = blob_format::encode_header({.binding = manifest->binding(), .chunk_bytes = 4096});
  const auto header = blob_format::decode_header(bytes);
  REQUIRE(header);
  CHECK(header->binding.object == manifest->object);
  CHECK(header->binding.blob_id == manifest->blob_id);
  CHECK(header->chunk_bytes == 4096);
  bytes[100] ^= 1;
  CHECK_FALSE(blob_format::decode_header(bytes));
  CHECK_FALSE(blob_format::decode_header(ByteView(bytes).first(100)));
  CHECK_FALSE(blob_format::decode_footer(Bytes(10)));
}
