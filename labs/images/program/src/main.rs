fn main() {
    // What is not UTF-8 is shown as such rather than refused.
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    std::process::exit(lab_image::run(arguments));
}
