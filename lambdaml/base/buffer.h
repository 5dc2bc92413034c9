// Memory for the bytes of a message or a file: large, soon dropped, and soon wanted again.
//
// The C library gives a large block back to the kernel as soon as it is dropped; the next one is
// new to the process, and the kernel zeroes it page by page, which takes longer than to fill it
// with data. So blocks of 64 KB or more are kept when they are dropped, and given out again. The
// process never holds more than were in use at once; of what is not in use it keeps 512 MB at most.
#pragma once

#include <cstddef>
#include <memory>

namespace lambdaml::base {

// `size_bytes` of memory with any content. Threads: any, at once. Throws std::bad_alloc.
std::shared_ptr<std::byte[]> NewBuffer(size_t size_bytes);

// Gives what is kept and not in use back to the system.
void DropSpareBuffers();

}  // namespace lambdaml::base
