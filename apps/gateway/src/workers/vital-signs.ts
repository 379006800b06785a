import { readFileSync } from 'node:fs'

/** How the main thread of a process is, as the kernel sees it. */
export type VitalSigns = {
  /** `R` runs or waits for a processor, `S` sleeps, `D` waits for a disk or for memory, `T` is stopped, `t` is held by a debugger. */
  state: string
  /** What it has had of processors so far, ms. */
  cpuMs: number
}

/** USER_HZ, in which /proc counts, is 100 on every Linux. */
const TICK_MS = 10

/** Undefined where the system does not say, or the process is gone. */
export function vitalSignsOf(pid: number): VitalSigns | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The name before may hold spaces and parentheses (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0]!, cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS }
}
