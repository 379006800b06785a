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

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
