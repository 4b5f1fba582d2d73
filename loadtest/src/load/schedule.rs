//! When each request should start, and of which class it is: known before the run.

use std::time::Duration;

use crate::rng::Rng;

use super::plan::{Arrivals, Phase, Plan};

/// One request that should start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the start of the run.
    pub intended: Duration,
    /// Index of the phase.
    pub phase: u16,
    /// Index of the template.
    pub class: u16,
}

/// Every arrival of a plan, in order, made one by one: two schedules of one plan are equal.
#[derive(Clone, Debug)]
pub struct Schedule {
    phases: Vec<Phase>,
    seed: u64,
    /// Index of the phase being gone through, and where it begins.
    phase: usize,
    begins: Duration,
    /// Where in it the next arrival lies, and how many came before.
    next: Duration,
    made: u64,
    /// Arrivals that an even schedule would have made up to the next.
    due: f64,
    classes: Rng,
    gaps: Rng,
}

// === impl Schedule ===

impl Schedule {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut schedule = Self {
            phases: plan.phases.clone(),
            seed: plan.seed,
            phase: 0,
            begins: Duration::ZERO,
            next: Duration::ZERO,
            made: 0,
            due: 0.0,
            classes: Rng::new(0, 0),
            gaps: Rng::new(0, 0),
        };
        schedule.enter(0);
        schedule
    }

    /// A phase draws from its own streams, so that changing one leaves the others as they are.
    fn enter(&mut self, phase: usize) {
        self.phase = phase;
        self.made = 0;
        self.due = 0.0;
        self.classes = Rng::new(self.seed, 2 * phase as u64);
        self.gaps = Rng::new(self.seed, 2 * phase as u64 + 1);
        self.next = self.following();
    }

    /// Where in the phase the next arrival lies; at or behind its end there is none.
    fn following(&mut self) -> Duration {
        let Some(phase) = self.phases.get(self.phase) else { return Duration::ZERO };
        if phase.rate_per_s <= 0.0 {
            return phase.duration;
        }
        let due = match phase.arrivals {
            Arrivals::Constant => {
                let exact = phase.rate_per_s * phase.curve.area(phase.duration);
                let count = exact.round();
                if self.made as f64 >= count {
                    return phase.duration;
                }
                // From the index, so that no error adds up; stretched to whole arrivals.
                self.made as f64 * exact / count
            }
            // Unit-rate arrivals, bent by the inverse of the area under the rate.
            Arrivals::Poisson => self.due + self.gaps.exponential(1.0),
        };
        self.due = due;
        let at = phase.curve.when(due / phase.rate_per_s);
        // Behind the end is as good as never, and cannot overflow. Half a nanosecond keeps the
        // error of the division from moving an arrival.
        let nanos = ((at * 1e9) + 0.5).min(u64::MAX as f64 / 4.0) as u64;
        Duration::from_nanos(nanos)
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let phase = self.phases.get(self.phase)?;
            if self.next < phase.duration {
                let at = self.next;
                let class = pick(&phase.mix, &mut self.classes);
                self.made += 1;
                self.next = self.following();
                return Some(Arrival {
                    intended: self.begins + at,
                    phase: self.phase as u16,
                    class,
                });
            }
            self.begins += phase.duration;
            self.enter(self.phase + 1);
        }
    }
}

fn pick(mix: &[u32], rng: &mut Rng) -> u16 {
    let mut ticket = rng.below(mix.iter().sum());
    let class = mix.iter().position(|weight| {
        let hit = ticket < *weight;
        ticket = ticket.wrapping_sub(*weight);
        hit
    });
    class.unwrap_or(0) as u16
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{
        super::{curve::Curve, plan::Template},
        *,
    };

    fn plan(phases: Vec<Phase>) -> Plan {
        let mut plan = Plan::new(SocketAddr::from(([127, 0, 0, 1], 1)))
            .template(Template::new("a", "GET", "/a"))
            .template(Template::new("b", "GET", "/b"));
        plan.phases = phases;
        plan
    }

    fn second(rate: f64) -> Phase {
        Phase::new("p", Duration::from_secs(1), rate, [3, 1])
    }

    #[test]
    fn same_seed_gives_the_same_schedule_and_another_seed_another() {
        let mut plan = plan(vec![second(1000.0).poisson(), second(500.0)]);
        let first: Vec<_> = plan.schedule().collect();
        assert_eq!(first, plan.schedule().collect::<Vec<_>>());
        plan.seed = 2;
        assert_ne!(first, plan.schedule().collect::<Vec<_>>());
    }

    #[test]
    fn constant_phases_have_exact_totals_and_boundaries() {
        let silent = second(0.0);
        let schedule: Vec<_> = plan(vec![second(333.0), silent, second(7.0)]).schedule().collect();
        assert_eq!(schedule.iter().filter(|arrival| arrival.phase == 0).count(), 333);
        assert_eq!(schedule.len(), 340);
        assert_eq!(schedule[333].intended, Duration::from_secs(2));
        assert!(schedule.is_sorted_by_key(|arrival| arrival.intended));
        assert!(schedule[332].intended < Duration::from_secs(1));
    }

    #[test]
    fn a_ramp_has_its_area_and_its_second_half_is_fuller() {
        let curve = Curve::ramp(0.0, 2.0, Duration::from_secs(1)).unwrap();
        for phase in [second(1000.0).curve(curve.clone()), second(1000.0).curve(curve).poisson()] {
            let schedule: Vec<_> = plan(vec![phase]).schedule().collect();
            let half = Duration::from_millis(500);
            let first = schedule.iter().filter(|arrival| arrival.intended < half).count();
            assert!((900..1100).contains(&schedule.len()), "{}", schedule.len());
            assert!((200..300).contains(&first), "{first}");
            assert!(schedule.is_sorted_by_key(|arrival| arrival.intended));
        }
    }

    #[test]
    fn a_step_begins_where_it_was_put() {
        let at = Duration::from_millis(400);
        let phase = second(100.0).curve(Curve::step(0.0, 10.0, at).unwrap());
        let schedule: Vec<_> = plan(vec![phase]).schedule().collect();
        assert_eq!((schedule.len(), schedule[0].intended), (600, at));
    }

    #[test]
    fn poisson_phases_have_their_rate_and_keep_to_their_time() {
        let schedule: Vec<_> = plan(vec![second(10_000.0).poisson()]).schedule().collect();
        assert!((9_600..10_400).contains(&schedule.len()), "{}", schedule.len());
        assert!(schedule.iter().all(|arrival| arrival.intended < Duration::from_secs(1)));
    }

    #[test]
    fn classes_follow_the_mix() {
        let schedule = plan(vec![second(10_000.0)]).schedule();
        let first = schedule.filter(|arrival| arrival.class == 0).count();
        assert!((7_300..7_700).contains(&first), "{first}");
    }
}
