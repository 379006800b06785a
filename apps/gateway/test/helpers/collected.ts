import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { waitFor } from '@skerry/testing'

/** Waits until nothing holds what these refer to any more. */
export async function collected(refs: readonly WeakRef<object>[]): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await waitFor(
    () => {
      collect()
      return refs.every((ref) => ref.deref() === undefined)
    },
    { message: 'it is still held' }
  )
}
