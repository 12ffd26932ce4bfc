//! The house's own files.

use scenario::language::{Reading, Verb, Vocabulary, read_story};

use crate::shelf::Shelf;

#[test]
fn every_story_in_the_house_is_taken() {
    let shelf = Shelf::of_the_house();
    assert!(!shelf.stories().is_empty());
    // The names that only actors know are checked where the actors are: in the tests of the whole lab.
    let reading = Reading { vocabulary: Vocabulary::default(), ..shelf.reading() };
    for path in shelf.stories() {
        if let Err(mistakes) = read_story(&path, reading) {
            panic!("{mistakes}");
        }
    }
}

#[test]
fn the_first_story_is_read_step_by_step() {
    let shelf = Shelf::of_the_house();
    let story = shelf.story("scenarios/sign-in/web.yaml").unwrap();
    let [case] = &story.cases[..] else { panic!("without a table there is one case") };
    assert_eq!(case.phones, ["desk"]);
    assert_eq!(case.steps.len(), 21);
    let Verb::Press(press) = &case.steps[2].verb else { panic!("the third step presses a key") };
    assert_eq!((press.phone.as_str(), press.key.as_str()), ("desk", "Sign In"));
    assert_eq!(story.sources.at(case.steps[5].place), "scenarios/sign-in/web.yaml:9:5");
}
