//! Lines, their places, and the lines that are none.

use proptest::prelude::*;

use super::*;

fn lines(bytes: &[u8], max: usize) -> Vec<Line> {
    Lines::new(bytes, max).map(Result::unwrap).collect()
}

fn line(number: u64, offset: u64, text: &str) -> Line {
    Line {
        number,
        offset,
        length: text.len() as u64,
        text: Ok(text.to_owned()),
    }
}

#[test]
fn lines_carry_their_number_and_place_and_blank_ones_are_passed_over() {
    let file = "\u{FEFF}{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}";
    let got = lines(file.as_bytes(), 100);
    assert_eq!(
        got,
        [
            line(1, 3, "{\"a\":1}"),
            line(4, 16, "{\"b\":2}"),
            line(5, 24, "{\"c\":3}")
        ]
    );
    for line in got {
        let start = usize::try_from(line.offset).unwrap();
        assert_eq!(
            &file[start..start + usize::try_from(line.length).unwrap()],
            line.text.unwrap()
        );
    }
}

#[test]
fn a_line_at_the_limit_is_read_and_one_above_it_is_that_line_s_problem() {
    let file = format!("{}\r\n{}\nok\n", "a".repeat(8), "b".repeat(9));
    let got = lines(file.as_bytes(), 8);
    assert_eq!(got[0], line(1, 0, "aaaaaaaa"));
    assert_eq!(got[1].text, Err(Problem::TooLong { bytes: 9, limit: 8 }));
    assert_eq!(got[2], line(3, 20, "ok"));
}

#[test]
fn invalid_utf8_is_that_line_s_problem() {
    let got = lines(b"one\ntw\xff\nthree\n", 100);
    assert_eq!(got[1].text, Err(Problem::InvalidUtf8 { at: 2 }));
    assert_eq!(got[2], line(3, 8, "three"));
}

#[test]
fn reading_resumes_at_a_line_s_place() {
    let file = b"first\nsecond\nthird\n";
    let second = lines(file, 100).remove(1);
    let start = usize::try_from(second.offset).unwrap();
    let splitter = Splitter::starting_at(100, second.number, second.offset);
    let rest: Vec<Line> = Lines::with_splitter(&file[start..], splitter)
        .map(Result::unwrap)
        .collect();
    assert_eq!(rest, lines(file, 100)[1..]);
}

#[test]
fn an_endless_line_takes_no_more_memory_than_a_line_may() {
    let mut splitter = Splitter::new(1000);
    for _ in 0..10_000 {
        splitter.push(&[b'x'; 1000]);
    }
    assert!(splitter.partial.capacity() < 10_000);
    splitter.push(b"\nok\n");
    let long = splitter.next_line().unwrap();
    assert_eq!(
        long.text,
        Err(Problem::TooLong {
            bytes: 10_000_000,
            limit: 1000
        })
    );
    assert_eq!(splitter.next_line(), Some(line(2, 10_000_001, "ok")));
}

#[test]
fn an_error_of_the_reader_ends_the_lines() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut lines = Lines::new(Broken, 100);
    assert_eq!(
        lines.next().unwrap().unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert!(lines.next().is_none());
}

#[test]
fn a_name_is_given_once_and_its_first_holder_told() {
    let mut names = Names::new();
    assert_eq!(names.claim("a", 1), None);
    assert_eq!(names.claim("b", 2), None);
    assert_eq!(names.claim("a", 5), Some(1));
    assert_eq!(names.claim("a", 9), Some(1), "the first, not the last that tried");
    assert_eq!(names.claim("A", 10), None);
}

proptest! {
    #[test]
    fn how_the_bytes_arrive_makes_no_difference(
        bytes in prop::collection::vec(prop::sample::select(b"ab\r\n \xff\xC5\xBC\xEF\xBB\xBF".to_vec()), 0..60),
        step in 1_usize..7, max in 1_usize..10
    ) {
        let mut splitter = Splitter::new(max);
        bytes.chunks(step).for_each(|part| splitter.push(part));
        splitter.finish();
        let pushed: Vec<Line> = std::iter::from_fn(|| splitter.next_line()).collect();
        prop_assert_eq!(pushed, lines(&bytes, max));
    }

    #[test]
    fn every_line_is_where_it_says(texts in prop::collection::vec("[a-zż ]{0,12}", 0..20), crlf in any::<bool>()) {
        let end = if crlf { "\r\n" } else { "\n" };
        let file: String = texts.iter().flat_map(|text| [text.as_str(), end]).collect();
        let got = lines(file.as_bytes(), 100);
        let expected: Vec<&String> = texts.iter().filter(|text| !text.trim().is_empty()).collect();
        prop_assert_eq!(got.len(), expected.len());
        for (line, text) in got.iter().zip(expected) {
            let start = usize::try_from(line.offset).unwrap();
            prop_assert_eq!(&file[start..start + text.len()], text);
            prop_assert_eq!(line.text.as_ref().unwrap(), text);
            prop_assert_eq!(&texts[usize::try_from(line.number).unwrap() - 1], text);
        }
    }
}
