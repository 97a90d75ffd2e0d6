//! The web application and the cordon binary.
