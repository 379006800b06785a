import Type from 'typebox'

// What most settings are, each with its default and what is said of it.

/** How many. */
export const Count = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: fallback, description })
/** How often; may be a fraction: 0.5 is one in two seconds. */
export const Rate = (fallback: number, description: string) =>
  Type.Number({ minimum: 0.001, maximum: 1_000_000, default: fallback, description })
/** How long. */
export const Milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: fallback, description })
/** How much memory. */
export const Bytes = (fallback: number, description: string) =>
  Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: fallback, description })
