/** How long the gateway and the service took until the head of an answer, behind what the service says; `sentAt` is 0 where none was asked. */
export function timingOf(
  came: string | string[] | undefined,
  startedAt: number,
  sentAt: number,
  headAt: number
): string {
  if (sentAt === 0) return `gateway;dur=${round(headAt - startedAt)}`
  const ours = `gateway;dur=${round(sentAt - startedAt)}, upstream;dur=${round(headAt - sentAt)}`
  return came === undefined ? ours : `${came}, ${ours}`
}

/** Times up to 100 ms as text: most are, and a fraction as text costs as much as all else here. */
const texts: string[] = []
const MOST_TEXTS = 10_000

/** Milliseconds with two decimals. */
function round(ms: number): string {
  const hundredths = Math.round(ms * 100)
  if (!(hundredths >= 0 && hundredths < MOST_TEXTS)) return String(hundredths / 100)
  texts[hundredths] ??= String(hundredths / 100)
  return texts[hundredths]
}
