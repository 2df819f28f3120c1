//! Watches applied tasks until each has come to its end, and shows how they get there.

pub(crate) mod board;

mod feed;

mod screen;

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::ambient::now_ms;
use crate::cluster::Cluster;
use crate::output::Grid;

pub(crate) use board::{Board, Ended, Key};
use feed::News;
use screen::Screen;

/// How often a live display moves on by itself: ages are shown in tenths of a second.
const TICK: Duration = Duration::from_millis(200);

/// The board, what feeds it and what shows it.
#[derive(Debug)]
pub(crate) struct Progress {
    board: Board,
    news: Receiver<News>,
    screen: Screen,
    tick: Interval,
}

impl Progress {
    /// Follows `goals` over any of the `clusters` (several servers of one cluster).
    pub(crate) fn start(clusters: Vec<Cluster>, goals: Vec<Key>) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            board: Board::new(goals),
            news: feed::start(clusters),
            screen: Screen::detect(),
            tick,
        }
    }

    /// Waits until the tasks that exist already are known, so that none of what happens from now on
    /// is missed.
    pub(crate) async fn first_list(&mut self, limit: Duration) {
        let first = tokio::time::timeout(limit, self.news.recv()).await;
        if let Ok(Some(news)) = first {
            self.take(news);
        }
    }

    fn take(&mut self, news: News) {
        let now = now_ms();
        let lines = news
            .into_events()
            .into_iter()
            .flat_map(|e| self.board.observe(e, now));
        self.screen.print(&lines.collect::<Vec<_>>());
    }

    /// Takes in the next piece of news or the next tick. True when every task came to its end.
    /// Dropping the future loses nothing.
    pub(crate) async fn step(&mut self) -> bool {
        tokio::select! {
            news = self.news.recv() => if let Some(news) = news {
                self.take(news);
            },
            _ = self.tick.tick() => {
                let lines = self.board.tick(now_ms());
                self.screen.print(&lines);
                self.draw();
            }
        }
        let done = self.board.done();
        if done {
            self.screen.clear();
        }
        done
    }

    /// Prints a line that is no task's, above a live display.
    pub(crate) fn say(&mut self, text: &str) {
        self.screen.say(text);
    }

    /// Removes the live display.
    pub(crate) fn stop(&mut self) {
        self.screen.clear();
    }

    /// Tasks that ended badly.
    pub(crate) fn failures(&self) -> Vec<Ended> {
        self.board.failures()
    }

    /// Tasks that have not ended, with what is known of each.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.board.unfinished()
    }

    /// `3 tasks: 2 Finished, 1 Failed`.
    pub(crate) fn summary(&self) -> String {
        self.board.summary()
    }

    fn draw(&mut self) {
        let rows = self.board.rows(now_ms());
        if rows.is_empty() {
            return self.screen.clear();
        }
        let mut grid = Grid::new(&["TASK", "STATE", "AGENT", "SINCE", ""]);
        rows.into_iter().for_each(|row| grid.row(row));
        let mut lines = vec![self.board.summary()];
        lines.extend(grid.drain());
        self.screen.draw(&lines);
    }
}
