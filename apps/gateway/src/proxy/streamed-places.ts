import type { BoundMet } from '../bounds.ts'

/** How many streamed requests there may be at once. */
export type StreamedPlaces = {
  /** Takes a place for a caller, to be given back once, or says which bound leaves none. `caller` is undefined where only the bound of all holds. */
  take(caller: string | undefined): (() => void) | 'STREAMED_BODIES' | 'STREAMED_BODIES_CALLER'
  readonly taken: number
}

/** What bounds requests whose bodies pass through. */
export type StreamedBounds = {
  places: StreamedPlaces
  /** Whether an address is that of one client, which has a share of the places. */
  countsAddress(address: string): boolean
  /** In each period of so many ms a client has to send so many bytes. */
  periodMs: number
  periodBytes: number
  /** There was no place. */
  onBound: BoundMet
}

/** Bounds streamed requests, which each hold buffers and a connection to a service for as long as they take: all of them, and those of one caller. */
export function createPlaces(total: number, perCaller: number): StreamedPlaces {
  const byCaller = new Map<string, number>()
  let taken = 0
  return {
    take(caller) {
      const held = caller === undefined ? 0 : (byCaller.get(caller) ?? 0)
      if (taken >= total) return 'STREAMED_BODIES'
      if (held >= perCaller) return 'STREAMED_BODIES_CALLER'
      taken++
      if (caller !== undefined) byCaller.set(caller, held + 1)
      return () => {
        taken--
        if (caller === undefined) return
        const left = byCaller.get(caller)! - 1
        if (left === 0) byCaller.delete(caller)
        else byCaller.set(caller, left)
      }
    },
    get taken() {
      return taken
    }
  }
}
