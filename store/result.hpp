#pragma once
// Errors are the same inside and outside: see zerodb/result.hpp, which is installed.

#include "zerodb/result.hpp"
