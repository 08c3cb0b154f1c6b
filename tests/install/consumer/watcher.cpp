// Follows events with the library: watcher DATA-FOLDER PREFIX DURABLE COUNT [FAIL-AT-KEY]
// Prints each event and, when COUNT were handled, where it is; or why it ended.
#include <zerodb/client.hpp>

#include <cstdlib>
#include <iostream>

using namespace zerodb;

int main(int, char** argv) {
  auto client = Client::connect(argv[1]);
  if (!client) return std::cerr << client.error().what << '\n', 1;
  std::stop_source stop;
  auto left = std::atoi(argv[4]);
  const std::string failing = argv[5] != nullptr ? argv[5] : "";
  const EventSink print = [&](const Event& event) -> Status {
    if (event.key == failing) return fail(Errc::full, "cannot handle " + event.key);
    const auto* kind = event.kind == Event::Kind::removed ? "removed" : "stored";
    std::cout << kind << ' ' << event.key << ' ' << event.size << std::endl;
    if (--left == 0) stop.request_stop();
    return {};
  };
  WatchOptions options{.from = {}, .durable = argv[3], .stop = stop.get_token()};
  if (options.durable.empty()) options.from = EventPosition{};
  const auto end = client->watch(argv[2], print, options);
  if (!end) return std::cout << to_string(end.error().code) << '\n', 1;
  std::cout << "next " << end->next << '\n';
}
