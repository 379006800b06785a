import { getHeapStatistics } from 'node:v8'

/**
 * Bytes that JavaScript has allocated so far in this process: what a piece of work adds to it is a measure of its cost that is the same on a slow
 * machine and on a fast one. It sees copying that native code does (`[...list, one]`), which no count of blocks does.
 */
export function allocatedBytes(): number {
  return (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes
}
