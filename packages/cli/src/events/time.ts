import { StartError } from '@skerry/stores'

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `15m`, `2h`, `3d`, `90s` before now, or a date with or without a time (UTC unless it says otherwise). */
export function parseTime(option: string, text: string, now = Date.now()): Date {
  const [, count, unit] = /^(\d{1,6})\s?(s|m|h|d)$/.exec(text) ?? []
  if (count !== undefined && unit !== undefined)
    return new Date(now - Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS])
  const time = new Date(/^\d{4}-\d{2}-\d{2}[T ][\d:.]+$/.test(text) ? `${text.replace(' ', 'T')}Z` : text)
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(time.getTime()))
    throw new StartError(`${option} ${text} does not fit: give 15m, 2h, 3d, or a time as 2026-11-24T17:54:10Z`)
  return time
}
