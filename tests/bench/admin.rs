//! Topics and offsets of the measured broker, over one blocking connection.

use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Answers, Endpoint, exchange};
use crate::wire::{FrameReader, FrameWriter, check};

/// Kafka tells its brokers of a new topic a little after it has answered.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);
const UNKNOWN_TOPIC: i16 = 3;

/// A connection for set-up work.
pub struct Admin {
    stream: TcpStream,
    answers: Answers,
}

impl Admin {
    pub fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Ok(Self { stream: endpoint.connect()?, answers: Answers::new() })
    }

    fn call(&mut self, request: FrameWriter) -> io::Result<FrameReader<'_>> {
        let answer = exchange(&mut self.stream, &mut self.answers, &request.finish())?;
        let mut answer = FrameReader::new(answer);
        answer.i32()?;
        Ok(answer)
    }

    /// ApiVersions 0: the cheapest question that every broker answers; says how many APIs there are.
    pub fn api_versions(&mut self) -> io::Result<usize> {
        let mut answer = self.call(FrameWriter::request(18, 0))?;
        check(answer.i16()?, "ApiVersions")?;
        answer.count()
    }

    /// Creates topics in one request and returns when the broker has answered it.
    pub fn create_topics(&mut self, topics: &[String], partitions: i32) -> io::Result<()> {
        let mut request = FrameWriter::request(19, 2);
        request.count(topics.len());
        for topic in topics {
            request.string(topic);
            request.i32(partitions);
            request.i16(1);
            request.count(0);
            request.count(0);
        }
        request.i32(60_000);
        request.i8(0);
        let mut answer = self.call(request)?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.string()?;
            check(answer.i16()?, "CreateTopics")?;
            answer.string()?;
        }
        Ok(())
    }

    /// Creates one topic and waits until each of its partitions answers.
    pub fn create_topic(&mut self, topic: &str, partitions: i32) -> io::Result<()> {
        self.create_topics(&[topic.to_owned()], partitions)?;
        let deadline = Instant::now() + TOPIC_TIMEOUT;
        while !self.has_topic(topic, partitions)? {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("topic {topic} has no leader after {TOPIC_TIMEOUT:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn has_topic(&mut self, topic: &str, partitions: i32) -> io::Result<bool> {
        for partition in 0..partitions {
            if self.read_end_offset(topic, partition)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes topics; one that is gone already is no error.
    pub fn delete_topics(&mut self, topics: &[String]) -> io::Result<()> {
        let mut request = FrameWriter::request(20, 1);
        request.count(topics.len());
        for topic in topics {
            request.string(topic);
        }
        request.i32(60_000);
        let mut answer = self.call(request)?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.string()?;
            let error_code = answer.i16()?;
            if error_code != UNKNOWN_TOPIC {
                check(error_code, "DeleteTopics")?;
            }
        }
        Ok(())
    }

    /// How many topics the broker lists.
    pub fn topic_count(&mut self) -> io::Result<usize> {
        let mut request = FrameWriter::request(3, 4);
        request.i32(-1);
        request.i8(0);
        let mut answer = self.call(request)?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.i32()?;
            answer.string()?;
            answer.i32()?;
            answer.string()?;
        }
        answer.string()?;
        answer.i32()?;
        answer.count()
    }

    /// The end of a partition as consumers see it.
    pub fn end_offset(&mut self, topic: &str, partition: i32) -> io::Result<i64> {
        let end = self.read_end_offset(topic, partition)?;
        end.ok_or_else(|| io::Error::other(format!("{topic}-{partition} is not there")))
    }

    /// `None` if the broker does not answer for that partition (yet).
    fn read_end_offset(&mut self, topic: &str, partition: i32) -> io::Result<Option<i64>> {
        let mut request = FrameWriter::request(2, 1);
        request.i32(-1);
        request.count(1);
        request.string(topic);
        request.count(1);
        request.i32(partition);
        request.i64(-1);
        let mut answer = self.call(request)?;
        answer.count()?;
        answer.string()?;
        answer.count()?;
        answer.i32()?;
        let error_code = answer.i16()?;
        answer.i64()?;
        let offset = answer.i64()?;
        Ok((error_code == 0).then_some(offset))
    }
}
