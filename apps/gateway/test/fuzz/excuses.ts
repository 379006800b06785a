/** Why something of a case is not judged, and of which share of all cases at most: more would be a fault that the excuse hides. */
export const MOST_EXCUSED = {
  /** Late bytes in a write of their own that a gateway could not know of when it sent the next request. */
  raced: 0.005,
  /** The same in a case that asks a public route, where they may have been kept. */
  'raced, and may have been kept': 0.003,
  /** The answer, or what is behind it, came in part, or ends with its connection, which did not end in good order. */
  cut: 0.05,
  /** The gateway has encoded the body. */
  coded: 0.015,
  /** A service that resets: what it had written may be lost or not. */
  'reset by the service': 0.005,
  /** Bytes of a tunnel. */
  upgraded: 0.02,
  /** Node ends the connection at a CONNECT or an upgrade, whatever came before. */
  'ended at an upgrade': 0.03,
  /** Frames that do not belong there have ended a stream or the connection. */
  'ended at a frame': 0.02,
  /** More than the 64 KiB that nghttp2 has for a head. */
  'a long head': 0.005,
  /** A service answers at the head of a request that turns out to be malformed, which ends its stream. */
  'another length than was said': 0.002,
  /** This process had no time to write the answer within the gateway's patience, or broke it off. */
  'not answered in time': 0.02
} as const

export type Excuse = keyof typeof MOST_EXCUSED

/** Too few to be a share of anything. */
const ALWAYS = 10

/** The excuses that were used more often than they may be, with their figures. */
export function overused(excused: Partial<Record<Excuse, number>>, cases: number): string[] {
  return (Object.keys(MOST_EXCUSED) as Excuse[])
    .filter((one) => (excused[one] ?? 0) > Math.max(ALWAYS, MOST_EXCUSED[one] * cases))
    .map((one) => `excused too often (${one}): ${excused[one]} of ${cases} cases`)
}
