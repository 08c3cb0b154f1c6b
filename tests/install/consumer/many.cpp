// Every call of the library once, from outside the tree; prints what a test compares.
#include <zerodb/async_client.hpp>
#include <zerodb/client.hpp>

#include <iostream>
#include <sstream>
#include <vector>

using namespace zerodb;

template <class T>
T checked(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << to_string(result.error().code) << ": " << result.error().what << '\n';
  std::exit(1);
}

int main(int, char** argv) {
  auto many = checked(AsyncClient::connect(argv[1]));
  std::vector<AsyncClient::Future<Stored>> puts;
  for (std::size_t i = 0; i < 300; ++i) {
    puts.push_back(many.put("many/" + std::to_string(1000 + i), Bytes(i * 997, 'x')));
  }
  for (auto& put : puts)
    checked(put.get());

  auto client = checked(Client::connect(argv[1]));
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  auto listing = client.list("many/");
  for (const auto& entry : listing)
    ++count, bytes += entry.size;
  if (!listing.status()) return 1;
  std::ostringstream last;
  checked(client.get("many/1299", last));
  const auto same = checked(many.get("many/1299").get());
  checked(client.remove("many/1000"));
  const auto code = many.stat("many/1000").get().error().code;
  std::cout << count << ' ' << bytes << ' ' << (last.str() == as_text(same)) << ' '
            << to_string(code) << '\n';
}
