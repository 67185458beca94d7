//! PURE: how far a chain of processes has come with its part of a plan. Each step costs what it is about, however large the whole is:
//! a set of a hundred thousand attributes that kill their processes must not make this slow.

use std::cmp::Reverse;

/// A group of a plan.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Comes before its children.
    parent: Option<usize>,
    children: Vec<usize>,
    pub items: Vec<usize>,
    millis: u64,
    /// Items that are still wanted, here and below.
    left: usize,
    /// Milliseconds and groups, here and below, by the plan.
    weight: (u64, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is evaluated only so that others find its reads done.
    Unwanted,
    Wanted,
    /// A process died of it, or of all that it had evaluated before.
    Suspect,
    Finished,
    /// It has no node.
    Skipped,
}

impl Group {
    /// As a plan has it.
    pub fn new(parent: Option<usize>, items: Vec<usize>, millis: u64) -> Self {
        Self { parent, items, millis, ..Self::default() }
    }
}

impl State {
    fn is_wanted(self) -> bool {
        matches!(self, State::Wanted | State::Suspect)
    }
}

pub struct Work {
    groups: Vec<Group>,
    /// Of each item.
    states: Vec<State>,
    /// The group that each item is in.
    home: Vec<Option<usize>>,
    #[cfg(test)]
    steps: std::cell::Cell<u64>,
}

impl Work {
    pub fn new(groups: Vec<Group>, states: Vec<State>) -> Self {
        let home = vec![None; states.len()];
        let mut work = Self {
            groups,
            states,
            home,
            #[cfg(test)]
            steps: std::cell::Cell::default(),
        };
        for index in (0..work.groups.len()).rev() {
            for at in 0..work.groups[index].items.len() {
                let item = work.groups[index].items[at];
                work.home[item] = Some(index);
                work.groups[index].left += usize::from(work.states[item].is_wanted());
            }
            let Group { parent, millis, left, weight, .. } = &mut work.groups[index];
            *weight = (weight.0 + *millis, weight.1 + 1);
            let (parent, left, weight) = (*parent, *left, *weight);
            if let Some(parent) = parent {
                let above = &mut work.groups[parent];
                above.left += left;
                above.weight = (above.weight.0 + weight.0, above.weight.1 + weight.1);
                above.children.push(index);
            }
        }
        work
    }

    fn step(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    /// Items that are wanted in a group and below it.
    pub fn left(&self, group: usize) -> usize {
        self.groups.get(group).map_or(0, |group| group.left)
    }

    pub fn is_wanted(&self, item: usize) -> bool {
        self.states[item].is_wanted()
    }

    /// Whether nothing is left below the group.
    pub fn is_leaf(&self, group: usize) -> bool {
        self.groups[group].children.iter().all(|child| self.groups[*child].left == 0)
    }

    /// The items of a group that are to be evaluated in it.
    pub fn evaluated(&self, group: usize) -> Vec<usize> {
        self.groups[group].items.iter().copied().filter(|item| self.states[*item] != State::Skipped).collect()
    }

    /// Whether that was still wanted.
    pub fn finish(&mut self, item: usize) -> bool {
        self.settle(item, State::Finished)
    }

    /// It is not evaluated any more. Whether it was still wanted.
    pub fn skip(&mut self, item: usize) -> bool {
        let was_wanted = self.settle(item, State::Skipped);
        self.states[item] = State::Skipped;
        was_wanted
    }

    fn settle(&mut self, item: usize, state: State) -> bool {
        if !self.states[item].is_wanted() {
            return false;
        }
        self.states[item] = state;
        self.leave(item);
        true
    }

    /// One less is left in the item's group and in those above.
    fn leave(&mut self, item: usize) {
        let mut at = self.home[item];
        while let Some(group) = at {
            self.step();
            self.groups[group].left -= 1;
            at = self.groups[group].parent;
        }
    }

    /// What a process died of is tried once more, in a process that has evaluated little else: whether it can be.
    pub fn suspect(&mut self, item: usize) -> bool {
        let Some(group) = self.home[item].filter(|group| self.states[item] == State::Wanted && *group != 0) else { return false };
        self.leave(item);
        self.states[item] = State::Suspect;
        self.groups[group].items.retain(|other| {
            #[cfg(test)]
            self.steps.set(self.steps.get() + 1);
            *other != item
        });
        let alone = self.groups.len();
        self.groups.push(Group { parent: Some(0), items: vec![item], left: 1, weight: (0, 1), ..Group::default() });
        self.home[item] = Some(alone);
        self.groups[0].children.push(alone);
        self.groups[0].left += 1;
        true
    }

    /// What is wanted in a group and below it is not evaluated any more. Returns it.
    pub fn give_up(&mut self, group: usize) -> Vec<usize> {
        let mut given_up = Vec::new();
        let mut stack = vec![group];
        while let Some(at) = stack.pop() {
            self.step();
            stack.extend(&self.groups[at].children);
            for item in self.groups[at].items.clone() {
                if self.skip(item) {
                    given_up.push(item);
                }
            }
        }
        given_up
    }
}

/// The groups below one, the lightest first. Some may come to it while others are worked on.
pub struct Below {
    group: usize,
    /// The next one is the last.
    waiting: Vec<usize>,
    /// So many of the group's children were put there.
    seen: usize,
}

/// Whether there is more to do below a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    Wait,
    None,
}

impl Below {
    pub fn of(group: usize) -> Self {
        Self { group, waiting: Vec::new(), seen: 0 }
    }

    /// The next group of which something is left.
    pub fn next(&mut self, work: &Work) -> Option<(usize, Others)> {
        let children = &work.groups[self.group].children;
        let mut new: Vec<usize> = children[self.seen..].iter().copied().inspect(|_| work.step()).collect();
        new.sort_by_key(|child| Reverse(work.groups[*child].weight));
        self.seen = children.len();
        self.waiting.extend(new);
        self.drop_done(work);
        let next = self.waiting.pop()?;
        self.drop_done(work);
        Some((next, if self.waiting.is_empty() { Others::None } else { Others::Wait }))
    }

    fn drop_done(&mut self, work: &Work) {
        while self.waiting.pop_if(|group| work.left(*group) == 0).is_some() {
            work.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of so many groups below the first one, with so many items each.
    fn wide(groups: usize, items: usize) -> Work {
        let group = |at: usize| Group { parent: Some(0), items: (at * items..(at + 1) * items).collect(), ..Group::default() };
        let all = std::iter::once(Group::default()).chain((0..groups).map(group)).collect();
        Work::new(all, vec![State::Wanted; groups * items])
    }

    fn order(work: &mut Work, mut each: impl FnMut(&mut Work, usize)) -> Vec<(usize, Others)> {
        let (mut below, mut order) = (Below::of(0), Vec::new());
        while let Some(next) = below.next(work) {
            order.push(next);
            each(work, next.0);
        }
        order
    }

    #[test]
    fn the_heaviest_comes_last_and_those_without_wanted_items_not_at_all() {
        let group = |parent, millis, item| Group { parent, millis, items: vec![item], ..Group::default() };
        let groups =
            vec![group(None, 0, 0), group(Some(0), 7, 1), group(Some(0), 1, 2), group(Some(2), 9, 3), group(Some(0), 2, 4)];
        let mut states = vec![State::Wanted; 5];
        states[4] = State::Unwanted;
        let mut work = Work::new(groups, states);
        assert_eq!((work.left(0), work.left(2), work.is_leaf(1), work.is_leaf(2)), (4, 2, true, false));
        assert_eq!(order(&mut work, |_, _| {}), [(1, Others::Wait), (2, Others::None)]);
        assert!(work.finish(3) && !work.finish(3) && !work.finish(4));
        assert_eq!((work.left(0), work.left(2), work.is_leaf(2)), (3, 1, true));
        assert_eq!(work.give_up(0), [0, 1, 2]);
        assert_eq!((work.left(0), work.evaluated(0), work.evaluated(2)), (0, vec![], vec![]));
    }

    #[test]
    fn what_a_process_died_of_is_tried_once_more_alone() {
        let mut work = wide(2, 2);
        let mut once = true;
        let order = order(&mut work, |work, group| {
            for item in work.evaluated(group) {
                if item == 1 && std::mem::take(&mut once) {
                    assert!(work.suspect(1));
                    assert!(!work.suspect(1), "once");
                } else {
                    assert!(work.finish(item));
                }
            }
        });
        assert_eq!(order, [(1, Others::Wait), (3, Others::Wait), (2, Others::None)]);
        assert_eq!(work.left(0), 0);
        assert!(!wide(0, 0).suspect_of_first_group());
    }

    impl Work {
        /// What the first group holds is not tried again: every process evaluates it.
        fn suspect_of_first_group(mut self) -> bool {
            self.groups[0].items.push(0);
            self.states.push(State::Wanted);
            self.home.push(Some(0));
            self.suspect(0)
        }
    }

    #[test]
    fn a_hundred_thousand_attributes_take_a_few_steps_each() {
        const ITEMS: u64 = 100_000;
        let mut work = wide(6_250, 16);
        order(&mut work, |work, group| {
            work.evaluated(group).into_iter().for_each(|item| assert!(work.finish(item)));
        });
        assert_eq!(work.left(0), 0);
        assert!(work.steps.get() < 4 * ITEMS, "{}", work.steps.get());
        // and where each of them kills its process, twice
        let mut work = wide(6_250, 16);
        order(&mut work, |work, group| {
            for item in work.evaluated(group) {
                if !work.suspect(item) {
                    assert!(work.skip(item));
                }
            }
        });
        assert_eq!(work.left(0), 0);
        assert!(work.steps.get() < 40 * ITEMS, "{}", work.steps.get());
    }
}
