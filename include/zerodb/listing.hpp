#pragma once
// A Listing: objects in order of their keys, fetched as they are needed. Made by Client::list();
// used by one thread, as its Client is.
//
//   auto photos = client.list("photos/");
//   for (const auto& photo : photos) use(photo);
//   if (!photos.status()) complain(photos.status().error().what);  // the loop ended early

#include <iterator>
#include <memory>

#include "zerodb/object.hpp"

namespace zerodb {

class ZERODB_API Listing {
 public:
  class Iterator;

  Listing(Listing&&) noexcept;
  Listing& operator=(Listing&&) noexcept;
  ~Listing();

  /// Goes on where it is: a Listing is gone through once.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

  /// The next object; null after the last one, or on an error. It stays until the next call.
  const ListEntry* next();

  /// Why the objects ended: with an error if a page could not be fetched.
  const Status& status() const;

 private:
  friend class Client;
  class Impl;
  explicit Listing(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// An input iterator.
class Listing::Iterator {
 public:
  using value_type = ListEntry;
  using difference_type = std::ptrdiff_t;

  Iterator() = default;
  explicit Iterator(Listing& listing) : listing_(&listing), entry_(listing.next()) {}

  const ListEntry& operator*() const { return *entry_; }
  const ListEntry* operator->() const { return entry_; }
  Iterator& operator++() {
    entry_ = listing_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return entry_ == nullptr; }

 private:
  Listing* listing_ = nullptr;
  const ListEntry* entry_ = nullptr;
};

inline Listing::Iterator Listing::begin() {
  return Iterator(*this);
}

}  // namespace zerodb
