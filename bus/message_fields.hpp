#pragma once
// How a message lists its fields: once, in `visit`, from which codec.cpp writes and reads msgpack.

#define ZERODB_FIELDS(...)                             \
  template <class Self, class Visitor>                 \
  static void visit(Self& self, Visitor& field) {      \
    static_cast<void>(self), static_cast<void>(field); \
    __VA_ARGS__                                        \
  }
