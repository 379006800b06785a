/**
 * The environment of a process of Node whose memory goes back to the system after a burst. glibc would keep it: it makes its bound for what it
 * takes from the system piece by piece as large as what was once given back (up to 32 MiB), and what is below lies in heaps that one
 * small piece at their end keeps resident. With these a gateway holds 130 MB instead of 180 at rest, and after floods that took it to 390 MB
 * it is back there, instead of at 680. Other C libraries ignore them. The image sets the same (infra/docker/Dockerfile).
 */
export const ALLOCATOR = {
  // Threads (argon2, zlib) would each have a heap of their own.
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '16384',
  MALLOC_MMAP_MAX_: '30000',
  MALLOC_TRIM_THRESHOLD_: '131072'
} as const
