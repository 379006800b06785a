export {
  currentDeadline,
  DEADLINE_HEADER,
  type Deadline,
  deadlinePassed,
  remainingMs,
  withDeadline
} from './deadline.ts'
export { createSharedDeadline, type SharedDeadline } from './shared-deadline.ts'
