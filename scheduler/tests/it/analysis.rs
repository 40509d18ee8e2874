//! Laws of the analyses, on random applications.
