import type { DynamicLibrary } from 'node:ffi'

let trim: ((keep: bigint) => unknown) | undefined | 'not looked for' = 'not looked for'

/**
 * Gives back what the C library holds free between pieces that are in use: glibc by itself gives back only what is free at the end of its heap,
 * and after a burst one small piece there keeps all below it resident. Some tens of milliseconds for 100 MB.
 *
 * It calls `malloc_trim(3)` by Node's interface for foreign functions. Where a Node or a C library has none, as musl, it does nothing.
 */
export function trimAllocator(): void {
  if (trim === 'not looked for') trim = findTrim()
  trim?.(0n)
}

function findTrim(): ((keep: bigint) => unknown) | undefined {
  const { emitWarning } = process
  try {
    // It tells everybody that it is experimental; the one call that is made here is looked for with care.
    process.emitWarning = () => {}
    const ffi = process.getBuiltinModule('node:ffi')
    // Its types want a path; null is the program itself, with all that it has loaded.
    const library = new (ffi.DynamicLibrary as unknown as new (path: null) => DynamicLibrary)(null)
    return library.getFunction('malloc_trim', { arguments: ['uint64'], return: 'int32' }) as (keep: bigint) => unknown
  } catch {
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}
