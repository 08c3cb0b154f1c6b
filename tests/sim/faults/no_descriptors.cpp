// Nothing in a simulation waits for a file descriptor, but asio asks the kernel about them whenever
// it is polled, which would take more time than all else. In this program the answer is at hand.

#include <sys/epoll.h>

extern "C" int epoll_wait(int, epoll_event*, int, int) {
  return 0;
}
