/** How a request ended, as far as it tells of its service's load. */
export type Outcome =
  /** It was answered. */
  | 'answered'
  /** A timeout, or the service itself said that it has too much to do (503, 429). */
  | 'dropped'
  /** Nothing can be learned from it: the client left, nothing was sent, it failed at once. */
  | 'ignored'
