#pragma once
// What libzerodb lets programs see: everything else in it is hidden.

#define ZERODB_API __attribute__((visibility("default")))
