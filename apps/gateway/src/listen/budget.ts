/** How often something may happen: `burst` at once and `perSecond` in the long run. */
export type Allowance = { burst: number; perSecond: number }

/** A token bucket that starts full. */
export type Budget = { left: number; at: number }

export function createBudget(allowance: Allowance, now: number): Budget {
  return { left: allowance.burst, at: now }
}

/** Takes one token; false when there is none. `now` in ms. */
export function spend(budget: Budget, allowance: Allowance, now: number): boolean {
  budget.left = Math.min(allowance.burst, budget.left + ((now - budget.at) / 1_000) * allowance.perSecond)
  budget.at = now
  if (budget.left < 1) return false
  budget.left--
  return true
}
