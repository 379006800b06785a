// What needs a whole system, in one: they run in this order. The journey counts what is in an empty system.
import './parts/journey.ts'
import './parts/keyboards.ts'
import './parts/instances.ts'
import './parts/leave.ts'
