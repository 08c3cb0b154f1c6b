#include <zerodb/client.hpp>

#include <iostream>

int main(int, char** argv) {
  auto client = zerodb::Client::connect(argv[1]);
  if (!client) return std::cerr << client.error().what << '\n', 1;
  auto stored = client->put("greeting", "Hello from C++");
  if (!stored) return std::cerr << stored.error().what << '\n', 1;
  if (auto got = client->get("greeting")) std::cout << zerodb::as_text(*got) << '\n';
}
